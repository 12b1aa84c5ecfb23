// Shims that lead to no task: what is left when a creation is cut off, by either side's end.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, expect, it } from "@jest/globals";
import { findTools } from "../../../hack/cluster/tools.ts";
import { containerPath } from "../../../src/kube/index.ts";
import { run, unmountBelow } from "../../../src/node/index.ts";
import { endBy, pidOf, untilMissed } from "../../support/away.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ startAgent: false });

const inNode = (...names: string[]): string => join(test().node.dir, ...names);

beforeAll(async () => {
  const { node } = test();
  const runc = join(findTools().runcDir, "runc");
  // While there is a file "stuck", a container's creation says that it has begun, and comes to no end; with "stuck-after"
  // it is all done before that.
  const script = [
    `case " $* " in *" create "*) ;; *) exec ${runc} "$@" ;; esac`,
    `[ ! -e ${inNode("stuck-after")} ] || ${runc} "$@"`,
    `[ -e ${inNode("stuck")} ] || [ -e ${inNode("stuck-after")} ] || exec ${runc} "$@"`,
    `: >${inNode("begun")}; exec cat ${inNode("never")}`,
  ];
  await run("mkfifo", [inNode("never")]);
  await mkdir(inNode("bin"));
  await writeFile(inNode("bin/runc"), `#!/bin/sh\n${script.join("\n")}\n`, { mode: 0o755 });
  const runtimes = { slow: { type: "io.containerd.runc.v2", options: { BinaryName: inNode("bin/runc") } } };
  await writeFile(inNode("agent.yaml"), JSON.stringify({ runtimes }));
  node.startAgent({ config: inNode("agent.yaml") });
  await node.agentReady();
});

// As the container has an entry in the sandbox store, the next containerd keeps the shim, has no task of that name, and
// makes none either as long as the shim is there.
it.each<["sees it happen" | "is killed, too"]>([["sees it happen"], ["is killed, too"]])(
  "when containerd dies, the shim is taken away and the container started by an agent that %s",
  async (how) => {
    const { node } = test();
    const before = await test().audit();
    await writeFile(inNode("stuck"), "");
    const created = await test().create({ runtime: "slow" });
    while (!existsSync(inNode("begun"))) await delay(20);
    if (how === "is killed, too") await node.stopAgent("kill");
    await node.stopContainerd("kill");
    if (how === "sees it happen") await untilMissed(node, "containerd");
    await rm(inNode("stuck"));
    await rm(inNode("begun"));
    await node.startContainerd();
    node.startAgent({ config: inNode("agent.yaml") });
    const { status } = await test().untilCondition(created, "Ready");
    expect(status).toMatchObject({ state: "Running", restartCount: 0 });
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
  },
);

// containerd gives up on the task after five seconds; its shim and the process that runc has made ready live on, and no
// call leads to them.
it.each<["is deleted" | "starts"]>([["is deleted"], ["starts"]])(
  "when the agent dies, what is left goes and the container %s",
  async (what) => {
    const { node } = test();
    const before = await test().audit();
    await writeFile(inNode("stuck-after"), "");
    const created = await test().create({ runtime: "slow" });
    while (!existsSync(inNode("begun"))) await delay(20);
    await node.stopAgent("kill");
    while (!readFileSync(join(node.dir, "containerd.log"), "utf8").includes("shim disconnected")) await delay(20);
    await rm(inNode("stuck-after"));
    await rm(inNode("begun"));
    if (what === "is deleted") await test().api.delete(containerPath("default", created.metadata.name));
    node.startAgent({ config: inNode("agent.yaml") });
    if (what === "starts") {
      await test().untilCondition(created, "Ready");
      await test().delete(created);
    } else await test().untilGone(created);
    expect(await test().leaks(before)).toEqual([]);
  },
);

// A containerd that is killed while a shim starts does not find it again, nor does one whose state was lost: the bundle
// leads to it.
it("a shim that containerd has lost goes with its container", async () => {
  const { node } = test();
  const before = await test().audit();
  const created = await test().create({ restartPolicy: "Never" });
  const running = await test().untilCondition(created, "Ready");
  await node.stopContainerd("kill");
  await endBy("SIGKILL", pidOf(running));
  const bundles = join(node.runDir, "containerd/io.containerd.runtime.v2.task", node.containerdNamespace);
  const bundle = join(bundles, `${created.metadata.uid}-1`);
  await unmountBelow(bundle);
  await rm(bundle, { recursive: true });
  await node.startContainerd();
  const { status } = await test().untilCondition(created, "Failed");
  expect(status).toMatchObject({ exitCode: 255, reason: "Unknown" });
  await test().delete(created);
  expect(await test().leaks(before)).toEqual([]);
});
