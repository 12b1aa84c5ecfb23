// A certificate authority of the test cluster's own, and what it signs.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../src/node/index.ts";

const DAYS = "3650";
/** The first address of kube-apiserver's service-cluster-ip-range. */
export const SERVICE_ADDRESS = "10.96.0.1";

/** Paths of a PEM certificate and its private key. */
export type KeyPair = { certificate: string; key: string };

/** Makes certificates in one directory; what is there already is kept. */
export class Authority {
  readonly #dir: string;
  /** The authority's own certificate, for those who are to trust it. */
  readonly certificate: string;

  private constructor(dir: string) {
    this.#dir = dir;
    this.certificate = join(dir, "ca.crt");
  }

  /** Opens the authority in `dir`, making it if there is none. */
  static async open(dir: string): Promise<Authority> {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const authority = new Authority(dir);
    if (!existsSync(authority.certificate)) {
      await authority.#request(
        "ca",
        "/CN=berth-local",
        "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign",
        [],
      );
    }
    return authority;
  }

  /** A certificate for a server on loopback, also under the names and the address that a cluster gives its API server. */
  server(name: string): Promise<KeyPair> {
    const names = `DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:${SERVICE_ADDRESS}`;
    return this.#signed(name, `/CN=${name}`, `subjectAltName=${names}\nextendedKeyUsage=serverAuth`);
  }

  /** A client's certificate; kube-apiserver takes its user and group from it. */
  client(user: string, group: string): Promise<KeyPair> {
    return this.#signed(user, `/O=${group}/CN=${user}`, "extendedKeyUsage=clientAuth");
  }

  async #signed(name: string, subject: string, extensions: string): Promise<KeyPair> {
    const pair = this.#pair(name);
    if (!existsSync(pair.certificate)) {
      await this.#request(name, subject, extensions, ["-CA", this.certificate, "-CAkey", join(this.#dir, "ca.key")]);
    }
    return pair;
  }

  async #request(name: string, subject: string, extensions: string, signer: string[]): Promise<void> {
    const { certificate, key } = this.#pair(name);
    const config = join(this.#dir, `${name}.cnf`);
    writeFileSync(config, `[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\n[ext]\n${extensions}\n`);
    const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key];
    await run("openssl", [
      ...["req", "-x509", "-config", config, "-subj", subject, "-days", DAYS, "-out", certificate],
      ...fresh,
      ...signer,
    ]);
  }

  #pair(name: string): KeyPair {
    return { certificate: join(this.#dir, `${name}.crt`), key: join(this.#dir, `${name}.key`) };
  }
}
