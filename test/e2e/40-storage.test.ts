// Volumes, and files and variables of Secrets and ConfigMaps.
import { afterAll, describe, expect, it } from "@jest/globals";
import { apply, berth, CLOSED, kubectl, NAMESPACE, once, remove, SYSTEM, until, untilCondition } from "./cluster.ts";

afterAll(async () => {
  await kubectl("delete", "containers", "--all");
  await kubectl("delete", "--ignore-not-found", "secret/key", "configmap/settings");
});

const secret = (value: string, namespace = NAMESPACE): object => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "key", namespace },
  stringData: { password: value },
});

describe("a volume", () => {
  it("with a name outlives its Containers, and goes by `berth volume rm`", async () => {
    const data = {
      volumes: [{ name: "data", volume: { name: "data" } }],
      volumeMounts: [{ name: "data", mountPath: "/data" }],
    };
    await apply(once("writer", "echo kept > /data/file", data));
    await untilCondition("writer", "Complete");
    await remove("writer");
    await apply(once("reader", "grep kept /data/file", data));
    await untilCondition("reader", "Complete");
    await remove("reader");
    expect(await berth("volume", "ls")).toContain("data");
    await berth("volume", "rm", `${NAMESPACE}/data`);
    expect(await berth("volume", "ls")).not.toContain("data");
  });

  it("of the Container itself is empty at first, on disk or in memory, and the node's own are seen", async () => {
    const mounts = ["disk", "memory", "host"].map((name) => ({
      name,
      mountPath: `/${name}`,
      readOnly: name === "host",
    }));
    await apply(
      once(
        "own",
        "touch /disk/a /memory/a; grep ' /memory tmpfs ' /proc/mounts; test -e /host/hostname; ! touch /host/no",
        {
          volumes: [
            { name: "disk", emptyDir: {} },
            { name: "memory", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
            { name: "host", hostPath: { path: "/etc", type: "Directory" } },
          ],
          volumeMounts: mounts,
        },
      ),
    );
    await untilCondition("own", "Complete");
    await remove("own");
  });
});

describe("a Secret", () => {
  const spec = {
    env: [{ name: "PASSWORD", valueFrom: { secretKeyRef: { name: "key", key: "password" } } }],
    volumes: [{ name: "key", secret: { secretName: "key" } }],
    volumeMounts: [{ name: "key", mountPath: "/key" }],
  };

  it("is waited for, is a variable and a file, and the file follows it", async () => {
    // Ends when the file has changed.
    const script =
      "test $PASSWORD = first; until grep -q second /key/password; do usleep 100000; done; test $PASSWORD = first";
    await apply(once("secret", script, spec));
    await until("secret", "waiting", ({ reason }) => reason === "WaitingForSecret");
    await apply(secret("first"));
    await untilCondition("secret", "Ready");
    await apply(secret("second"));
    await untilCondition("secret", "Complete");
    await remove("secret");
  });

  it("of a namespace that the chart does not list is not the agents' to read", async () => {
    const as = `--as=system:serviceaccount:${SYSTEM}:berth`;
    const can = (namespace: string): Promise<string> =>
      kubectl("auth", "can-i", "get", "secrets/key", "--namespace", namespace, as).catch((error: unknown) =>
        String((error as { stdout?: string }).stdout),
      );
    expect((await can(NAMESPACE)).trim()).toBe("yes");
    expect((await can(CLOSED)).trim()).toBe("no");
    expect((await can(SYSTEM)).trim()).toBe("no");
  });
});

describe("a ConfigMap", () => {
  it("is variables and files", async () => {
    await apply(
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings" }, data: { MODE: "fast" } },
      once("settings", "test $MODE = fast; grep fast /settings/MODE", {
        envFrom: [{ configMapRef: { name: "settings" } }],
        volumes: [{ name: "settings", configMap: { name: "settings" } }],
        volumeMounts: [{ name: "settings", mountPath: "/settings" }],
      }),
    );
    await untilCondition("settings", "Complete");
    await remove("settings");
  });
});
