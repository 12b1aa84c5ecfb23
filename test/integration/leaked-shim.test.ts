// Shims that lead to no task: what is left when a creation is cut off, by either side's end.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, expect, it } from "@jest/globals";
import { findTools } from "../../hack/cluster/tools.ts";
import { containerPath } from "../../src/kube/index.ts";
import { run, unmountBelow } from "../../src/node/index.ts";
import { endBy, pidOf, untilMissed } from "../support/away.ts";
import { askRestart } from "../support/restart.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode({ startAgent: false });

const inNode = (...names: string[]): string => join(test().node.dir, ...names);

beforeAll(async () => {
  const { node } = test();
  const runc = join(findTools().runcDir, "runc");
  // While there is a file "stuck", a container's creation says that it has begun, and comes to no end; with "stuck-after"
  // it is all done before that. With "no-delete", containerd can't wait for the end of a deletion.
  const script = [
    `case " $* " in *" delete "*) [ ! -e ${inNode("no-delete")} ] || exec sleep 8 ;; esac`,
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

// The next containerd takes a shim that does not answer for dead. It clears up after it without its leave, as far as it can:
// the shim, its bundle or what runc has made of the container may be there still, and is in the next task's way.
it.each<["start" | "restart", "made" | "being made", "clears up" | "can't clear up"]>([
  ["start", "made", "can't clear up"],
  ["start", "being made", "clears up"],
  ["restart", "made", "clears up"],
  ["restart", "made", "can't clear up"],
  ["restart", "being made", "clears up"],
])(
  "a %s whose task was %s when containerd died, the next of which finds a shim that does not answer and %s, comes about at once",
  async (which, what, how) => {
    const { node } = test();
    const before = await test().audit();
    const runs = which === "restart" ? await test().create({ runtime: "slow" }) : undefined;
    if (runs !== undefined) await test().untilCondition(runs, "Ready");
    const stuck = inNode(what === "made" ? "stuck-after" : "stuck");
    await writeFile(stuck, "");
    const created = runs === undefined ? await test().create({ runtime: "slow" }) : await askRestart(test(), runs, "1");
    while (!existsSync(inNode("begun"))) await delay(20);
    const shims = node.shimPids.filter((pid) => readFileSync(`/proc/${pid}/comm`, "utf8").includes("containerd-shim"));
    for (const pid of shims) process.kill(pid, "SIGSTOP");
    await node.stopContainerd("kill");
    if (how === "can't clear up") await writeFile(inNode("no-delete"), "");
    await node.startContainerd();
    for (const file of [stuck, inNode("begun"), inNode("no-delete")]) await rm(file, { force: true });
    for (const pid of shims) if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGCONT");
    const reasons = new Set<string | undefined>();
    const restartCount = which === "restart" ? 1 : 0;
    await test().until(created, "Running", ({ status }) => {
      reasons.add(status?.reason);
      return status?.state === "Running" && status.restartCount === restartCount;
    });
    // No verdict on a failed start, and nothing that could not be removed.
    for (const reason of ["RuntimeError", "RemovalFailed"]) expect(reasons).not.toContain(reason);
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
