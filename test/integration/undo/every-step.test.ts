// A fault after each acquisition of a start, and in place of it: what came before is given back, whatever it was, and
// the start goes on when the fault is over.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { findTools } from "../../../hack/cluster/tools.ts";
import { RESTARTED_AT } from "../../../src/api/index.ts";
import { mount, unmount } from "../../../src/node/index.ts";
import { pluginsWith } from "../../support/cni.ts";
import { ContainerdProxy, FAULT } from "../../support/containerd-proxy.ts";
import {
  everything,
  expectFailedStart,
  type ExpectedFailure,
  expectVerdict,
  NETWORK_SETUP_FAILED,
  RUNTIME_ERROR,
  untilJudged,
  VOLUME_SETUP_FAILED,
} from "../../support/failed-start.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ startAgent: false });
const inNode = (...names: string[]): string => join(test().node.dir, ...names);

let proxy: ContainerdProxy;

/** Ends the agent, and starts it with other flags. */
const restartAgent = async (flags: Record<string, string> = {}): Promise<void> => {
  const { node } = test();
  await node.stopAgent();
  node.startAgent({ "containerd-address": proxy.address, config: inNode("agent.yaml"), ...flags });
  await node.agentReady();
};

const script = async (name: string, text: string): Promise<string> => {
  await writeFile(inNode(name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return inNode(name);
};

beforeAll(async () => {
  const { node } = test();
  proxy = await ContainerdProxy.start(join(node.runDir, "proxy.sock"), node.containerdAddress);
  const runc = join(findTools().runcDir, "runc");
  const handler = (BinaryName: string) => ({ type: "io.containerd.runc.v2", options: { BinaryName } });
  // The shim is what calls the runtime.
  const killsShim = await script("kills-shim", `case " $* " in *" create "*) kill -9 $PPID;; esac; exec ${runc} "$@"`);
  const cantStart = await script(
    "cant-start",
    `case " $* " in *" start "*) echo "it will not start" >&2; exit 1;; esac; exec ${runc} "$@"`,
  );
  const runtimes = { shimless: handler(killsShim), startless: handler(cantStart) };
  await writeFile(inNode("agent.yaml"), JSON.stringify({ runtimes }));
  await restartAgent();
  // The image is here from then on.
  const first = await test().create();
  await test().untilState(first, "Running");
  await test().delete(first);
});

afterAll(async () => {
  await proxy.close();
});

afterEach(async () => {
  proxy.heal();
  await test().deleteAll();
});

const BROKEN: ExpectedFailure = { ...RUNTIME_ERROR, says: [FAULT] };

describe("a first start", () => {
  const METHODS = ["Store/Create", "Snapshots/Prepare", "Containers/Create", "Tasks/Create", "Tasks/Start"];

  it.each(METHODS.flatMap((method) => [[method, "before"] as const, [method, "after"] as const]))(
    "that fails at %s, %s it is done, gives everything back",
    async (method, when) => {
      proxy.break({ method, when });
      const failed = await expectFailedStart(test(), everything(test()), BROKEN);
      expect(proxy.heal()).toBeGreaterThan(0);
      await test().delete(failed);
    },
  );

  it.each(["Snapshots/Remove", "Store/Delete", "Tasks/Delete", "Containers/Delete"])(
    "whose undo fails at %s leaves it to the next try, and what is left goes with the object",
    async (undo) => {
      const before = await test().audit();
      proxy.break({ method: "Tasks/Start", when: "before" }, { method: undo, when: "before" });
      const failed = await untilJudged(test(), await test().create(everything(test())));
      expectVerdict(failed, BROKEN);
      proxy.heal();
      const running = await test().untilState(failed, "Running");
      expect(running.status).toMatchObject({ restartCount: 0 });
      await test().delete(running);
      expect(await test().leaks(before)).toEqual([]);
    },
  );

  it.each(["before", "after"] as const)(
    "whose success can't be written down, %s it is, is taken over",
    async (when) => {
      const before = await test().audit();
      proxy.break({ method: "Containers/Update", when, times: 1 });
      const created = await test().create(everything(test()));
      const running = await test().untilState(created, "Running");
      expect(running.status).toMatchObject({ restartCount: 0 });
      expect(proxy.heal()).toBe(1);
      expect((await test().audit()).task).toEqual([`${created.metadata.uid}-1`]);
      await test().delete(created);
      expect(await test().leaks(before)).toEqual([]);
    },
  );
});

describe("a start again", () => {
  const METHODS = ["Snapshots/Mounts", "Tasks/Create", "Tasks/Start"];
  /** What a container keeps between its runs. */
  const kept = async (): Promise<object> => {
    const { container, snapshot, sandbox } = await test().audit();
    return { container, snapshot, sandbox };
  };

  it.each(METHODS.flatMap((method) => [[method, "before"] as const, [method, "after"] as const]))(
    "that fails at %s, %s it is done, keeps what the container has, and is tried again",
    async (method, when) => {
      const before = await test().audit();
      const created = await test().create(everything(test()));
      const first = await test().untilState(created, "Running");
      const had = await kept();
      proxy.break({ method, when });
      await test().patch(created, { metadata: { annotations: { [RESTARTED_AT]: "1" } } });
      const failed = await untilJudged(test(), created);
      expectVerdict(failed, BROKEN);
      expect(await kept()).toEqual(had);
      expect((await test().audit()).task).toEqual([]);
      expect(proxy.heal()).toBeGreaterThan(0);
      const again = await test().untilState(created, "Running");
      expect(again.status).toMatchObject({ containerID: first.status?.containerID, restartCount: 1 });
      await test().delete(created);
      expect(await test().leaks(before)).toEqual([]);
    },
  );
});

describe("a runtime", () => {
  it("that takes its shim with it leaves nothing", async () => {
    const failed = await expectFailedStart(test(), everything(test(), { runtime: "shimless" }), {
      ...RUNTIME_ERROR,
      says: [],
    });
    await test().delete(failed);
  });

  it("that makes the container and can't start it leaves nothing", async () => {
    const spec = everything(test(), { runtime: "startless" });
    await test().delete(await expectFailedStart(test(), spec, { ...RUNTIME_ERROR, says: ["it will not start"] }));
  });
});

describe("the network", () => {
  afterAll(async () => restartAgent());

  it("of which the last plugin fails gives back what the first ones gave", async () => {
    const broken = `[ "$CNI_COMMAND" = ADD ] || exit 0
cat >/dev/null; echo '{"cniVersion":"1.0.0","code":100,"msg":"no port for you"}'; exit 1`;
    await restartAgent({ "cni-bin-dir": await pluginsWith(test().node, { portmap: `#!/bin/sh\n${broken}\n` }) });
    const failed = await expectFailedStart(test(), everything(test()), {
      ...NETWORK_SETUP_FAILED,
      says: ["no port for you"],
    });
    await test().delete(failed);
  });
});

describe("a full disk", () => {
  /** A small filesystem that is full but for a few bytes. */
  const fullDisk = async (name: string): Promise<string> => {
    const target = inNode(name);
    await mkdir(target);
    await mount({ type: "tmpfs", source: "tmpfs", target, options: ["size=64k", "nr_inodes=4"] });
    return target;
  };

  it.each([
    ["data-dir", { ...VOLUME_SETUP_FAILED, says: ["the container's own files", "the disk is full"] }],
    ["log-dir", { ...RUNTIME_ERROR, says: ["ENOSPC"] }],
  ] as const)("under --%s fails the start, says so, and leaves nothing", async (flag, expected) => {
    const dir = await fullDisk(`full-${flag}`);
    const full = join(dir, "berth");
    await mkdir(full);
    await writeFile(join(dir, "one"), "");
    await writeFile(join(dir, "two"), "");
    try {
      await restartAgent({ [flag]: full });
      const failed = await expectFailedStart(test(), everything(test()), expected);
      await test().delete(failed);
    } finally {
      await test().node.stopAgent();
      await unmount(dir);
    }
  });
});
