// Kubeconfig files with everything they need inside, so that they can be copied.
import { readFileSync } from "node:fs";
import type { KeyPair } from "./certificates.ts";

/** For a client certificate. */
export function adminKubeconfig(server: string, ca: string, { certificate, key }: KeyPair): string {
  const user = { "client-certificate-data": base64(certificate), "client-key-data": base64(key) };
  return kubeconfig(server, ca, "default", user);
}

/** For a bearer token. */
export function tokenKubeconfig(server: string, ca: string, namespace: string, token: string): string {
  return kubeconfig(server, ca, namespace, { token });
}

// JSON is YAML, and needs no writer.
function kubeconfig(server: string, ca: string, namespace: string, user: object): string {
  const name = "berth-local";
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server, "certificate-authority-data": base64(ca) } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name, namespace } }],
    "current-context": name,
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

function base64(path: string): string {
  return readFileSync(path).toString("base64");
}
