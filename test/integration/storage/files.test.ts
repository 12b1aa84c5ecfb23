// configMap and secret volumes: files in memory that follow their object.
import { readlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec, Volume } from "../../../src/api/index.ts";
import { configMapPath, secretPath } from "../../../src/kube/index.ts";
import { run } from "../../../src/node/index.ts";
import { endBy, pidOf, untilRestarted as untilStartedAgain } from "../../support/away.ts";
import { COMMAND_NOT_FOUND, expectFailedStart } from "../../support/failed-start.ts";
import { insideOf, untilContent } from "../../support/inside.ts";
import { probe, valuesOf } from "../../support/probe.ts";
import { Proxy } from "../../support/proxy.ts";
import { createObject } from "../../support/pulling.ts";
import { RequestLog } from "../../support/request-log.ts";
import { askRestart, untilRestarted } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ startAgent: false });

let log: RequestLog;
let names = 0;

beforeAll(async () => {
  log = await RequestLog.withAgent(test().node);
});
afterAll(() => log.close());

const base64 = (text: string): string => Buffer.from(text).toString("base64");
/** A name that no other test has used. */
const fresh = (): string => `files-${test().node.index}-${++names}`;

type Content = { data?: Record<string, string>; binaryData?: Record<string, string> };

async function configMap(content: Content, name = fresh()): Promise<string> {
  await createObject(test(), "ConfigMap", name, content);
  return name;
}

async function secret(data: Record<string, string>, name = fresh()): Promise<string> {
  await createObject(test(), "Secret", name, { stringData: data });
  return name;
}

const patchConfigMap = (name: string, patch: object) => test().api.mergePatch(configMapPath("default", name), patch);

/** A Container with a volume at /v. */
const mounting = (volume: Omit<Volume, "name">, mount: object = {}): Partial<ContainerSpec> => ({
  volumes: [{ name: "v", ...volume }],
  volumeMounts: [{ name: "v", mountPath: "/v", ...mount }],
});

async function running(spec: Partial<ContainerSpec>): Promise<Container> {
  return test().untilState(await test().create(spec), "Running");
}

describe("the files", () => {
  it("are the object's keys, with their modes, in a tmpfs that the container can only read", async () => {
    const name = await configMap({
      data: { text: "hello\n" },
      binaryData: { bytes: Buffer.from([0, 255, 10]).toString("base64") },
    });
    const { container, output } = await probe(
      test(),
      `for f in text bytes; do echo "$f=$(stat -Lc '%a %u %g %s' /v/$f)"; done; cat /v/text; od -An -tx1 /v/bytes
       awk '$2 == "/v" { print "mount=" $3, substr($4, 1, 2) }' /proc/mounts
       echo x > /v/text; echo x > /v/new; ls -A /v | grep -v '^[.][.]2'`,
      mounting({ configMap: { name, defaultMode: 0o640 } }),
    );
    expect(valuesOf(output)).toMatchObject({ text: "640 0 0 6", bytes: "640 0 0 3", mount: "tmpfs ro" });
    expect(output).toContain("hello\n");
    expect(output).toContain("00 ff 0a");
    expect(output.match(/Read-only file system/g)).toHaveLength(2);
    expect(output).toMatch(/\.\.data\nbytes\ntext\n/);
    await test().delete(container);
  });

  it("are the items alone where those are given; what is optional may be missing", async () => {
    const name = await secret({ user: "u", password: "p" });
    const { container, output } = await probe(
      test(),
      'cd /v; ls . a/ a/b/; cat a/b/password; stat -Lc " %a" a/b/password; ls -A /none | grep -v "^[.][.]"',
      {
        volumes: [
          {
            name: "v",
            secret: {
              secretName: name,
              items: [
                { key: "password", path: "a/b/password", mode: 0o400 },
                { key: "there-is-none", path: "c" },
              ],
              optional: true,
            },
          },
          { name: "none", secret: { secretName: "there-is-none", optional: true } },
        ],
        volumeMounts: ["v", "none"].map((volume) => ({ name: volume, mountPath: `/${volume}` })),
      },
    );
    expect(output).toBe(".:\na\n\na/:\nb\n\na/b/:\npassword\np 400\n");
    await test().delete(container);
  });

  it("may be mounted one by one, on a file of the image, too", async () => {
    const name = await configMap({ data: { "index.html": "from the map\n" } });
    const mount = { mountPath: "/www/index.html", subPath: "index.html" };
    const { container, output } = await probe(
      test(),
      "cat /www/index.html; ls /www",
      mounting({ configMap: { name } }, mount),
    );
    expect(output).toBe("from the map\nindex.html\n");
    await test().delete(container);
  });

  it("of a Secret are nowhere on the disk, nor in what is told of the container", async () => {
    const value = `hidden-${"x".repeat(20)}-value`;
    const name = await secret({ token: value });
    const created = await running(mounting({ secret: { secretName: name } }));
    await untilContent(created, "/v/token", value);
    await test().api.mergePatch(secretPath("default", name), { stringData: { token: `${value}-2` } });
    await untilContent(created, "/v/token", `${value}-2`);
    const found = await run("grep", ["-rlF", "--", value, test().node.dir]).catch(() => ({ stdout: "" }));
    expect(found.stdout).toBe("");
    const record = await test().node.ctr("containers", "info", `${created.metadata.uid}-1`);
    expect(JSON.stringify(test().get(created)) + record).not.toContain(value);
    await test().delete(created);
  });
});

describe("what is missing", () => {
  it.each<[string, string, (name: string) => Omit<Volume, "name">, (name: string) => Promise<unknown>, string]>([
    [
      "a Secret",
      "WaitingForSecret",
      (name) => ({ secret: { secretName: name } }),
      (name) => secret({ k: "1" }, name),
      "does not exist",
    ],
    [
      "a ConfigMap",
      "WaitingForConfigMap",
      (name) => ({ configMap: { name } }),
      (name) => configMap({ data: { k: "1" } }, name),
      "does not exist",
    ],
  ])("is waited for: %s", async (_, reason, volume, make, says) => {
    const name = fresh();
    const before = await test().audit();
    const created = await test().create(mounting(volume(name)));
    const { status } = await test().until(created, reason, (now) => now.status?.reason === reason);
    expect(status).toMatchObject({ state: "Pending", message: expect.stringContaining(`"${name}" ${says}`) });
    expect(status).not.toHaveProperty("exitCode");
    expect(await test().leaks(before)).toEqual([]);
    await make(name);
    await untilContent(await test().untilState(created, "Running"), "/v/k", "1");
    await test().delete(created);
  });

  it.each<[string, object, object, string]>([
    ["of an item", { items: [{ key: "k", path: "file" }] }, {}, "/v/file"],
    ["of a subPath", {}, { subPath: "k" }, "/v"],
  ])("is waited for: a key %s, be it one of binary data", async (_, source, mount, path) => {
    const name = await configMap({ data: { other: "1" } });
    const created = await test().create(mounting({ configMap: { name, ...source } }, mount));
    const { status } = await test().until(created, "waiting", (now) => now.status?.reason === "WaitingForConfigMap");
    expect(status?.message).toContain(`configmap "${name}" in namespace "default" has no key "k": add it`);
    await patchConfigMap(name, { binaryData: { k: base64("2") } });
    await untilContent(await test().untilState(created, "Running"), path, "2");
    await test().delete(created);
  });
});

it("a start that fails leaves neither files nor mounts", async () => {
  const name = await secret({ k: "1" });
  const wrong: Partial<ContainerSpec> = {
    command: ["no-such-command"],
    volumes: [
      { name: "v", secret: { secretName: name } },
      { name: "named", volume: { name: "for-nothing" } },
    ],
    volumeMounts: [
      { name: "v", mountPath: "/v" },
      { name: "v", mountPath: "/file", subPath: "k" },
      { name: "named", mountPath: "/part", subPath: "a/b" },
    ],
  };
  const failed = await expectFailedStart(test(), wrong, { ...COMMAND_NOT_FOUND, says: ["no-such-command"] });
  await test().delete(failed);
});

describe("a change of the object", () => {
  const watches = (name: string): number =>
    log.requests.filter(({ path }) => path.includes("watch=true") && path.includes(`metadata.name%3D${name}`)).length;

  it("reaches every container that has it by one watch, but no subPath", async () => {
    const name = await configMap({ data: { a: "1", b: "1" } });
    const volumes = [{ name: "v", configMap: { name } }];
    const two = await Promise.all(
      [1, 2].map(() =>
        running({
          volumes,
          volumeMounts: [
            { name: "v", mountPath: "/v" },
            { name: "v", mountPath: "/file", subPath: "a" },
          ],
        }),
      ),
    );
    const [one] = two;
    if (one === undefined) throw new Error("none");
    await patchConfigMap(name, { data: { a: "2", b: null, c: "2" } });
    for (const container of two) {
      await untilContent(container, "/v/c", "2");
      await untilContent(container, "/v/b", undefined);
      await untilContent(container, "/v/a", "2");
      await untilContent(container, "/file", "1");
    }
    await patchConfigMap(name, { data: { a: "3" } });
    await untilContent(one, "/v/a", "3");
    expect(watches(name)).toBe(1);
    // The subPath is looked up anew by a restart.
    await askRestart(test(), one, "now");
    const again = await untilRestarted(test(), one, 1);
    await untilContent(again, "/file", "3");
    await Promise.all(two.map((container) => test().delete(container)));
  });

  it("that makes it incomplete leaves the files as they were; the optional ones go", async () => {
    const name = await configMap({ data: { k: "1" } });
    const items = [{ key: "k", path: "k" }];
    const created = await running({
      volumes: [
        { name: "must", configMap: { name, items } },
        { name: "may", configMap: { name, items, optional: true } },
      ],
      volumeMounts: ["must", "may"].map((volume) => ({ name: volume, mountPath: `/${volume}` })),
    });
    await patchConfigMap(name, { data: { k: null } });
    await untilContent(created, "/may/k", undefined);
    await untilContent(created, "/must/k", "1");
    await test().api.delete(configMapPath("default", name));
    await configMap({ data: { k: "2" } }, name);
    await untilContent(created, "/must/k", "2");
    await untilContent(created, "/may/k", "2");
    await test().api.delete(configMapPath("default", name));
    await untilContent(created, "/may/k", undefined);
    await untilContent(created, "/must/k", "2");
    await test().delete(created);
  });

  it("is caught up with by the next agent, and by a container that was stopped meanwhile", async () => {
    const name = await configMap({ data: { k: "1" } });
    const created = await running(mounting({ configMap: { name } }));
    await test().node.stopAgent("kill");
    await patchConfigMap(name, { data: { k: "2" } });
    test().node.startAgent();
    await test().node.agentReady();
    await untilContent(created, "/v/k", "2");
    await patchConfigMap(name, { data: { k: "3" } });
    await untilContent(created, "/v/k", "3");
    await test().untilCondition(await test().patch(created, { spec: { desiredState: "Stopped" } }), "Ready");
    await patchConfigMap(name, { data: { k: "4" } });
    const again = await test().untilCondition(
      await test().patch(created, { spec: { desiredState: "Running" } }),
      "Ready",
    );
    await untilContent(again, "/v/k", "4");
    await test().delete(created);
  });
});

describe("a restart", () => {
  it("keeps the files; a recreation makes them anew", async () => {
    const name = await configMap({ data: { k: "1" } });
    const created = await running(mounting({ configMap: { name } }));
    const data = (container: Container) => readlinkSync(insideOf(container, "/v/..data"));
    const first = data(created);
    await askRestart(test(), created, "now");
    expect(data(await untilRestarted(test(), created, 1))).toBe(first);
    const changed = await test().patch(created, { spec: { hostname: "another" } });
    const recreated = await test().untilCondition(changed, "Ready");
    expect(data(recreated)).not.toBe(first);
    await untilContent(recreated, "/v/k", "1");
    await test().delete(created);
  });
});

describe("a restart while the API server is away", () => {
  it("goes by the files that are there, also of an agent that has never reached it", async () => {
    const { node } = test();
    const name = await secret({ k: "1" });
    const created = await running(mounting({ secret: { secretName: name } }));
    await untilContent(created, "/v/k", "1");
    await node.stopAgent("kill");
    await endBy("SIGKILL", pidOf(created));
    const through = join(node.dir, "proxied.kubeconfig");
    const proxy = await Proxy.inFrontOf(node.agentFlags()["kubeconfig"] ?? "", through);
    try {
      proxy.cut();
      node.startAgent({ kubeconfig: through });
      await untilStartedAgain(node, created);
      proxy.resume();
      await untilContent(await untilRestarted(test(), created, 1), "/v/k", "1");
      await test().delete(created);
    } finally {
      await node.stopAgent();
      await proxy.close();
      node.startAgent();
    }
  }, 90_000);
});
