// The node goes down with all that runs and comes up again: what its disk holds says what follows, be the API server there or not.
import { existsSync, rmSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it, jest } from "@jest/globals";
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import { containerPath } from "../../src/kube/index.ts";
import { run } from "../../src/node/index.ts";
import { endBy, pidOf, untilRestarted as untilStartedAgain, untilSaid } from "../support/away.ts";
import { berth } from "../support/cli.ts";
import { slowPlugin } from "../support/cni.ts";
import { untilEvent } from "../support/events.ts";
import { addressOf, fileIn, inside, netnsOf } from "../support/look.ts";
import { askRestart, conditionsOf, untilRestarted, waitOf } from "../support/restart.ts";
import { createObject } from "../support/pulling.ts";
import { ServerAway } from "../support/server-away.ts";
import { CONTAINERD, useNode } from "../support/test-node.ts";

const test = useNode();

/** Much happens in each of these tests. */
jest.setTimeout(180_000);

/** Says how many runs it had, and ends as it is told. */
const RUN = ["sh", "-c", "echo run; trap 'exit 0' TERM; trap 'exit 3' USR1; sleep 3600 & wait"];
const REBOOTED = { exitCode: 255, oomKilled: false };

const create = (spec: Partial<ContainerSpec> = {}): Promise<Container> => test().create({ command: RUN, ...spec });
const started = async (spec: Partial<ContainerSpec> = {}): Promise<Container> =>
  test().untilCondition(await create(spec), "Ready");
const statusOf = (container: Container): Container["status"] => test().get(container)?.status;

async function reboot(flags: Record<string, string> = {}): Promise<void> {
  await test().node.reboot();
  test().node.startAgent(flags);
}

describe("a reboot", () => {
  it("ends what ran, and each container's policy says what follows; an end from before keeps its code", async () => {
    const flaky = await create({ command: ["sh", "-c", "echo run; exit 5"] });
    const [always, onFailure, usedUp, never, once, paused, stopped, ended] = await Promise.all([
      started(),
      started({ restartPolicy: "OnFailure" }),
      started({ restartPolicy: "OnFailure", maxRestarts: 1 }),
      started({ restartPolicy: "Never" }),
      started({ restartPolicy: "Never", autoRemove: true }),
      started({ desiredState: "Paused" }),
      started(),
      started({ restartPolicy: "Never" }),
    ]);
    await endBy("SIGUSR1", pidOf(usedUp));
    await endBy("SIGUSR1", pidOf(ended));
    await untilRestarted(test(), usedUp, 1);
    const before = {
      ended: await test().untilCondition(ended, "Failed"),
      stopped: await test().untilCondition(await test().patch(stopped, { spec: { desiredState: "Stopped" } }), "Ready"),
      // Its next start is then still to come.
      flaky: await test().until(flaky, "waiting", (now) => now.status?.restartCount === 5 && waitOf(now) >= 3200),
    };
    await reboot();

    await Promise.all([always, onFailure, paused].map((each) => test().until(each, "again", restarted)));
    for (const each of [always, onFailure]) {
      expect(statusOf(each)).toMatchObject({ ...REBOOTED, state: "Running", reason: "Started", restartCount: 1 });
      expect(test().output(each)).toBe("run\nrun\n");
    }
    expect((await test().untilState(paused, "Paused")).status).toMatchObject({ ...REBOOTED, restartCount: 1 });
    for (const [each, restartCount] of [
      [never, 0],
      [usedUp, 1],
    ] as const) {
      const over = await test().untilCondition(each, "Failed");
      expect(over.status).toMatchObject({ ...REBOOTED, state: "Exited", reason: "NodeRebooted", restartCount });
    }
    expect((await untilEvent(test(), never, "Exited")).message).toContain("ended with exit code 255 (NodeRebooted)");
    await test().untilGone(once);
    expect(statusOf(ended)).toEqual(before.ended.status);
    expect(statusOf(stopped)).toEqual(before.stopped.status);
    const again = await test().until(flaky, "again", ({ status }) => (status?.restartCount ?? 0) > 5);
    expect(again.status).toMatchObject({ exitCode: 5, restartCount: 6 });
    expect(again.status?.startedAt ?? "").toMatch(/./);
    expect(Date.parse(again.status?.startedAt ?? "")).toBeGreaterThanOrEqual(
      Date.parse(before.flaky.status?.nextRetryAt ?? ""),
    );
    await test().deleteAll();
  });

  it("brings addresses, ports and names anew, and nothing of those before is left", async () => {
    const hostPort = 20_000 + test().node.index;
    const server = await started({
      command: [
        "sh",
        "-c",
        "mkdir /site; echo here > /site/index.html; httpd -h /site; trap 'exit 0' TERM; sleep 3600 & wait",
      ],
      network: { mode: "Bridge" },
      ports: [{ containerPort: 80, hostPort }],
    });
    const { name } = server.metadata;
    const linked = await started({ network: { mode: "Bridge", links: [{ container: name, alias: "web" }] } });
    const joined = await started({ network: { mode: "Container", container: name } });
    const gone = await started({ network: { mode: "Bridge" }, restartPolicy: "Never" });
    const before = await test().audit();
    await reboot();

    const [newServer, newLinked, newJoined] = await Promise.all(
      [server, linked, joined].map((each) => untilRestarted(test(), each, 1)),
    );
    await test().untilCondition(gone, "Failed");
    if (newServer === undefined || newLinked === undefined || newJoined === undefined) throw new Error("unreachable");
    const answer = await fetch(`http://127.0.0.1:${hostPort}`, { signal: AbortSignal.timeout(10_000) });
    expect(await answer.text()).toBe("here\n");
    expect(netnsOf(newJoined)).toBe(netnsOf(newServer));
    expect(fileIn(newLinked, "/etc/hosts")).toContain(`\n${addressOf(newServer)}\tweb ${name}\n`);
    await inside(newLinked, "ping -c 1 -W 5 web");
    const after = await test().audit();
    expect(after.address.map((path) => path.replace(/.*\//, "")).sort()).toEqual(
      [newServer, newLinked].map(addressOf).sort(),
    );
    expect(after["network namespace"]).toHaveLength(3);
    // Their addresses differ.
    expect(after.rule).toHaveLength(before.rule.length);
    await test().deleteAll();
  });

  const restarted = ({ status }: Container): boolean => status?.restartCount === 1 && status.pid !== undefined;
});

describe("a reboot in the midst", () => {
  it("of a start, a removal and a stop: each is carried on with", async () => {
    const { node } = test();
    const runtime = await heldRuntime(node.dir);
    const adding = await slowPlugin(node, "bridge", "ADD");
    const removing = await slowPlugin(node, "host-local", "DEL");
    await rename(join(adding.dir, "bridge"), join(removing.dir, "bridge"));
    const deaf = ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"];
    const removed = await started({ network: { mode: "Bridge" } });
    const stubborn = { command: deaf, terminationGracePeriodSeconds: 300 };
    const [stopped, deleted] = await Promise.all([started(stubborn), started(stubborn)]);
    await node.stopAgent();
    node.startAgent({ config: runtime.config, ...removing.flags });
    const recorded = await create({ runtime: "held" });
    await runtime.called();
    const begun = await create({ network: { mode: "Bridge" } });
    await adding.called();
    await test().api.delete(containerPath("default", removed.metadata.name));
    await removing.called();
    await test().api.delete(containerPath("default", deleted.metadata.name));
    await test().patch(stopped, { spec: { desiredState: "Stopped" } });
    await untilEvent(test(), deleted, "Killing");
    await test().until(stopped, "being stopped", ({ status }) => status?.reason === "Stopping");
    runtime.release();
    await reboot({ config: runtime.config });

    for (const each of [begun, recorded]) {
      const running = await test().untilCondition(each, "Ready");
      expect(running.status).toMatchObject({ restartCount: 0 });
      expect(running.status).not.toHaveProperty("exitCode");
    }
    await Promise.all([test().untilGone(removed), test().untilGone(deleted)]);
    const rests = await test().until(stopped, "stopped", ({ status }) => status?.state === "Exited");
    expect(rests.status).toMatchObject({ ...REBOOTED, reason: "NodeRebooted", restartCount: 0 });
    expect(conditionsOf(rests)).toEqual(["Ready"]);
    const { task } = await test().audit();
    expect(task).toEqual([begun, recorded].map(idOf).sort());
    await test().deleteAll();
  });
});

describe("a reboot without an API server", () => {
  it("goes by the records; what needs the server's files waits and says so; statuses are caught up with, each once", async () => {
    const { node } = test();
    // The other containerd may have its turn on the same index.
    const secret = `reboot-${node.index}-${CONTAINERD.replace(".", "-")}`;
    await createObject(test(), "Secret", secret, { stringData: { k: "v" } });
    const files = {
      volumes: [{ name: "v", secret: { secretName: secret } }],
      volumeMounts: [{ name: "v", mountPath: "/v" }],
    };
    const variable = { name: "K", valueFrom: { secretKeyRef: { name: secret, key: "k" } } };
    const [always, never, paused, ended, stopped, withVariable, withFiles, talker] = await Promise.all([
      started({ network: { mode: "Bridge" } }),
      started({ restartPolicy: "Never" }),
      started({ desiredState: "Paused" }),
      create({ command: ["false"], restartPolicy: "Never" }),
      create({ desiredState: "Stopped" }),
      started({ env: [variable] }),
      started(files),
      started({
        command: ["sh", "-c", "trap 'exit 0' TERM; while true; do echo $(seq 100); sleep 0.2; done"],
        logging: { maxSize: "1Ki" },
      }),
    ]);
    const linked = await started({ network: { mode: "Bridge", links: [{ container: always.metadata.name }] } });
    const quiet = [await test().untilCondition(ended, "Failed"), await test().untilCondition(stopped, "Ready")];
    const again = [always, paused, withVariable, withFiles, talker, linked];
    const away = await ServerAway.open(test());
    try {
      away.goAway();
      await node.reboot();
      await rm(join(node.logDir, "default", talker.metadata.name, "output.log.1"), { force: true });
      node.startAgent({ kubeconfig: away.kubeconfig });
      await untilSaid(node, "start waits");
      for (const each of again) if (each !== withFiles && each !== paused) await untilStartedAgain(node, each);
      const { name } = withFiles.metadata;
      expect((await berth(test(), ["ps", "--all"])).stdout).toMatch(new RegExp(`^default/${name} +Pending`, "m"));
      const { status } = JSON.parse((await berth(test(), ["inspect", name])).stdout) as Container;
      expect(status).toMatchObject({ ...REBOOTED, state: "Pending", reason: "WaitingForSecret" });
      expect(status?.message).toContain(
        `secret "${secret}" in namespace "default" can't be read while the API server is away`,
      );
      // Nobody else keeps the disk from filling up.
      await untilThere(join(node.logDir, "default", talker.metadata.name, "output.log.1"));
      expect((await test().audit()).task).toEqual(
        again
          .filter((each) => each !== withFiles)
          .map(idOf)
          .sort(),
      );

      away.comeBack();
      for (const each of again) {
        const { status: now } = await test().until(each, "again", ({ status }) => status?.restartCount === 1);
        expect(now).toMatchObject({ ...REBOOTED, state: each === paused ? "Paused" : "Running" });
      }
      expect((await test().untilCondition(never, "Failed")).status).toMatchObject({
        ...REBOOTED,
        reason: "NodeRebooted",
      });
      expect(fileIn(test().get(withFiles) ?? withFiles, "/v/k")).toBe("v");
      for (const each of [...again, never]) expect(away.writes(each)).toHaveLength(1);
      for (const each of quiet) {
        expect(away.writes(each)).toEqual([]);
        expect(statusOf(each)).toEqual(each.status);
      }
      await test().deleteAll();
    } finally {
      await node.stopAgent("kill");
      await away.close();
      node.startAgent();
    }
  });
});

describe("a reboot in the midst of a restart that was asked for", () => {
  it("without an API server: it is restarted once, as was asked, not again when that is back", async () => {
    const { node } = test();
    const deaf = ["sh", "-c", "echo run; trap '' TERM; while true; do sleep 1; done"];
    const created = await started({ command: deaf, restartPolicy: "Never", terminationGracePeriodSeconds: 300 });
    await askRestart(test(), created, "now");
    await test().until(created, "being stopped", ({ status }) => status?.reason === "Stopping");
    const away = await ServerAway.open(test());
    try {
      away.goAway();
      await node.reboot();
      node.startAgent({ kubeconfig: away.kubeconfig });
      await untilStartedAgain(node, created);

      away.comeBack();
      const { status } = await untilRestarted(test(), created, 1);
      expect(status).toMatchObject({ ...REBOOTED, restartedAt: "now" });
      // Until what is asked for now is done, all that was to be done is done.
      await test().delete(await started());
      expect(statusOf(created)).toEqual(status);
      expect(test().output(created)).toBe("run\nrun\n");
      await test().patch(created, { spec: { terminationGracePeriodSeconds: 0 } });
      await test().delete(created);
    } finally {
      await node.stopAgent("kill");
      await away.close();
      node.startAgent();
    }
  });
});

/** An agent's configuration with a runtime `held`: until it is released, it makes no container, but says when it is asked to. */
async function heldRuntime(
  dir: string,
): Promise<{ config: string; called: () => Promise<unknown>; release: () => void }> {
  const [program, held] = [join(dir, "held-runc"), join(dir, "held")];
  const [bell, config] = [join(dir, "held.bell"), join(dir, "held.yaml")];
  const wait = `if [ -e ${held} ]; then echo > ${bell}; sleep 3600; fi`;
  const script = `#!/bin/sh\ncase " $* " in *" create "*) ${wait} ;; esac\nexec runc "$@"\n`;
  await Promise.all([writeFile(program, script, { mode: 0o755 }), writeFile(held, ""), run("mkfifo", [bell])]);
  const options = { BinaryName: program };
  await writeFile(config, JSON.stringify({ runtimes: { held: { type: "io.containerd.runc.v2", options } } }));
  return {
    config,
    called: () => readFile(bell),
    release: () => {
      rmSync(held);
    },
  };
}

const idOf = ({ metadata }: Container): string => `${metadata.uid}-1`;

/** Waits for a file. */
async function untilThere(path: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!existsSync(path)) {
    if (Date.now() > deadline) throw new Error(`${path} does not come`);
    await delay(20);
  }
}
