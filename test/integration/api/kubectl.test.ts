// What a user types: the columns of kubectl get, and kubectl wait.
import { describe, expect, it } from "@jest/globals";
import type { ContainerSpec } from "../../../src/api/index.ts";
import { conditionsOf } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

const kubectl = (...args: string[]): Promise<string> => test().cluster.controlPlane.kubectl(args);

/** A table's cells by the names of its columns; kubectl parts columns by two spaces or more. */
async function row(name: string, ...more: string[]): Promise<Record<string, string | undefined>> {
  const [head = "", line = ""] = (await kubectl("get", "ctr", name, ...more)).split("\n");
  const columns = [...head.matchAll(/\S+(?: \S+)*\s*/g)].map(({ 0: title, index }) => [title.trim(), index] as const);
  return Object.fromEntries(
    columns.map(([title, start], i) => [title, line.slice(start, columns[i + 1]?.[1] ?? line.length).trim()]),
  );
}

describe("kubectl get containers", () => {
  it("shows where it runs, how it is, its image and its address", async () => {
    const created = await test().create({ network: { mode: "Bridge" } });
    const { metadata, status } = await test().untilCondition(created, "Ready");
    const wide = await row(metadata.name, "-o", "wide");
    expect(wide).toMatchObject({
      NAME: metadata.name,
      NODE: test().node.name,
      STATE: "Running",
      EXIT: "",
      RESTARTS: "0",
      IMAGE: test().image(),
      IP: status?.network?.ipAddresses?.[0],
      DESIRED: "Running",
      REASON: "Started",
      "CONTAINER-ID": status?.containerID,
    });
    const columns = ["NAME", "NODE", "STATE", "EXIT", "RESTARTS", "IMAGE", "IP", "AGE"];
    expect(Object.keys(await row(metadata.name))).toEqual(columns);
    expect(await kubectl("get", "berth", "-o", "name")).toContain(metadata.name);
    await test().delete(created);
  });

  it("shows how it ended, also with 0", async () => {
    for (const [script, exitCode] of [
      ["exit 0", "0"],
      ["exit 3", "3"],
    ] as const) {
      const created = await test().create({ command: ["sh", "-c", script], restartPolicy: "Never" });
      await test().untilState(created, "Exited");
      expect(await row(created.metadata.name)).toMatchObject({ STATE: "Exited", EXIT: exitCode, RESTARTS: "0" });
      await test().delete(created);
    }
  });
});

describe("kubectl wait", () => {
  it.each<[string, Partial<ContainerSpec>]>([
    ["Ready", {}],
    ["Ready", { desiredState: "Paused" }],
    ["Ready", { desiredState: "Stopped" }],
    ["Complete", { command: ["true"], restartPolicy: "Never" }],
    ["Failed", { command: ["false"], restartPolicy: "Never" }],
    ["Stalled", { command: ["no-such-command"] }],
  ])("--for=condition=%s returns of %j", async (condition, spec) => {
    const created = await test().create(spec);
    await kubectl("wait", `ctr/${created.metadata.name}`, `--for=condition=${condition}`, "--timeout=30s");
    await test().delete(created);
  });

  it("--for=delete returns when nothing is left of it", async () => {
    const before = await test().audit();
    const created = await test().create();
    await test().untilCondition(created, "Ready");
    await kubectl("delete", "ctr", created.metadata.name, "--timeout=30s");
    expect(await test().leaks(before)).toEqual([]);
  });
});

describe("a condition", () => {
  it("has the time of its last change, not of the last look", async () => {
    const created = await test().create();
    const first = await test().untilCondition(created, "Ready");
    const changed = await test().patch(created, { spec: { logging: { maxFiles: 4 } } });
    const second = await test().untilCondition(changed, "Ready");
    const timeOf = ({ status }: typeof first): string | undefined => status?.conditions?.[0]?.lastTransitionTime;
    expect(timeOf(second)).toBe(timeOf(first));
    expect(conditionsOf(second)).toEqual(["Ready"]);
    await test().delete(created);
  });
});
