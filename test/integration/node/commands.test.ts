// The commands on the node: with the agent and the API server away, and what they refuse.
import { appendFileSync, existsSync } from "node:fs";
import { beforeAll, describe, expect, it } from "@jest/globals";
import type { Container } from "../../../src/api/index.ts";
import { logFile } from "../../../src/lifecycle/task.ts";
import { berth, startBerth } from "../../support/cli.ts";
import { untilOutput } from "../../support/probe.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

const nameOf = ({ metadata }: Container): string => `${metadata.namespace}/${metadata.name}`;

describe("berth logs -f", () => {
  it("follows over restarts and rotations, until the container is removed", async () => {
    const script = "echo run; trap 'exit 0' TERM; read go; seq 1 2000; echo end; sleep 3600 & wait";
    const created = await test().create({
      stdin: true,
      command: ["sh", "-c", script],
      logging: { maxSize: "2Ki", maxFiles: 10 },
    });
    await untilOutput(test(), created, "run\n");
    const running = await test().untilState(created, "Running");
    const logs = startBerth(test(), ["logs", "-f", nameOf(created)]);
    await logs.until("run\n");
    const id = running.status?.containerID?.replace("containerd://", "") ?? "";
    appendFileSync(`${test().node.stateDir}/stdin/${id}`, "go\n");
    await logs.until("end\n");
    await test().patch(created, { metadata: { annotations: { "berth.dev/restartedAt": "once" } } });
    await logs.until("end\nrun\n");
    await test().delete(created);
    const numbers = Array.from({ length: 2000 }, (_, i) => `${String(i + 1)}\n`).join("");
    expect(await logs.ended).toEqual({ code: 0, stdout: `run\n${numbers}end\nrun\n`, stderr: "" });
  });

  it("says how exact --since is", async () => {
    const created = await test().create({
      command: ["sh", "-c", "echo hello; exec sleep 3600"],
      terminationGracePeriodSeconds: 0,
    });
    await untilOutput(test(), created, "hello\n");
    const said = await berth(test(), ["logs", "--since", "1h", nameOf(created)]);
    expect(said).toMatchObject({ code: 0, stdout: "hello\n" });
    expect(said.stderr).toBe("berth: the output has no times within a file; this is all there is\n");
    const none = await berth(test(), ["logs", "--since", "2099-01-01", nameOf(created)]);
    expect(none).toMatchObject({ code: 0, stdout: "" });
    expect((await berth(test(), ["logs", "--since", "then", nameOf(created)])).stderr).toContain("must be a span");
    await test().delete(created);
  });
});

describe("with agent and API server away", () => {
  let container: Container;

  beforeAll(async () => {
    await test().api.create("/api/v1/namespaces/default/secrets", {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: `node-${test().node.index}`, namespace: "default" },
      stringData: { password: "hush-hush" },
    });
    const secretKeyRef = { name: `node-${test().node.index}`, key: "password" };
    const created = await test().create({
      env: [{ name: "PASSWORD", valueFrom: { secretKeyRef } }],
      args: ["$(PASSWORD)"],
    });
    container = await test().untilState(created, "Running");
    await test().node.stopAgent("kill");
  });

  it("they work, and tell nothing of a Secret", async () => {
    const inspected = await berth(test(), ["inspect", container.metadata.uid.slice(0, 8)]);
    expect(inspected.code).toBe(0);
    expect(inspected.stdout).not.toContain("hush-hush");
    expect(JSON.parse(inspected.stdout)).toMatchObject({ name: container.metadata.name, status: { state: "Running" } });
    expect(await berth(test(), ["exec", nameOf(container), "sh", "-c", "echo $PASSWORD"])).toMatchObject({
      code: 0,
      stdout: "hush-hush\n",
    });
    expect((await berth(test(), ["ps"])).stdout).toContain(nameOf(container));
  });

  it("they refuse what can't be meant, in clear words", async () => {
    const { name } = container.metadata;
    const says = async (args: string[], words: string): Promise<void> => {
      const { code, stdout, stderr } = await berth(test(), args);
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toContain(words);
    };
    await says(["exec", "nosuch", "true"], "berth: no such container on this node: default/nosuch\n");
    await says(["logs", "-n", "elsewhere", name], `elsewhere/${name}; there is default/${name}`);
    await says(["inspect", "-n", "elsewhere", nameOf(container)], "give one of them");
    await says(["exec", name, "-it", "sh"], "give -it before the name");
    await says(["exec", "-it", name, "sh"], "no terminal");
    await says(["exec", "-e", "A", name, "env"], "NAME=VALUE");
    await says(["ps", "--containerd-address", "/run/nosuch.sock"], "can't be reached at /run/nosuch.sock");
  });

  it("exec is refused for one that is paused, and told that nobody reads by SIGPIPE", async () => {
    const { node } = test();
    node.startAgent();
    await node.agentReady();
    const head = startBerth(test(), ["exec", nameOf(container), "yes"]);
    await head.until("y\n");
    head.child.stdout.destroy();
    expect((await head.ended).code).toBe(141);
    await test().patch(container, { spec: { desiredState: "Paused" } });
    const paused = await test().until(container, "paused", ({ status }) => status?.state === "Paused");
    const refused = await berth(test(), ["exec", nameOf(paused), "true"]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("is paused: set") as unknown });
    await test().delete(paused);
    expect(existsSync(logFile(node.logDir, paused.metadata))).toBe(false);
  });
});

describe("berth volume", () => {
  it("lists and removes what no container uses", async () => {
    const name = `data-${test().node.index}`;
    const created = await test().create({
      volumes: [{ name: "v", volume: { name } }],
      volumeMounts: [{ name: "v", mountPath: "/data" }],
    });
    await test().untilState(created, "Running");
    const { stdout } = await berth(test(), ["volume", "ls"]);
    expect(stdout).toMatch(new RegExp(`^default/${name} +${created.metadata.name} +/.*/${name}$`, "m"));
    const used = await berth(test(), ["volume", "rm", name]);
    expect(used).toMatchObject({ code: 1, stdout: "" });
    expect(used.stderr).toContain(`is used by ${created.metadata.name}`);
    await test().delete(created);
    const removed = await berth(test(), ["volume", "rm", name, "nosuch"]);
    expect(removed).toMatchObject({ code: 1, stdout: `default/${name}\n` });
    expect(removed.stderr).toContain('no volume "nosuch"');
    expect((await berth(test(), ["volume", "ls"])).stdout).toBe("NAMESPACE/NAME   USED BY   PATH\n");
  });
});
