// Networks that the agent makes before a Container asks, from the first start to the agent's end, and over its death.
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { afterEach, describe, expect, it } from "@jest/globals";
import { bridgePorts } from "../../../hack/cluster/traces.ts";
import type { Container } from "../../../src/api/index.ts";
import { addressOf, inside } from "../../support/look.ts";
import { useNode } from "../../support/test-node.ts";
import { untilSo } from "../../support/until-so.ts";

const test = useNode();

const running = async (): Promise<Container> =>
  test().untilState(await test().create({ network: { mode: "Bridge" } }), "Running");
/** The names of those that are there, also of one in the making. */
const made = (): string[] => {
  const dir = join(test().node.stateDir, "spares");
  const names = existsSync(dir) ? readdirSync(dir) : [];
  return names.filter((name) => name.endsWith(".json")).map((name) => basename(name, ".json"));
};
const ports = (): number => bridgePorts(test().node.bridgeName).length;
/** Those on the bridge are that many, beside so many containers. */
const untilReady = (spares: number, containers: number): Promise<void> =>
  untilSo(`${spares} networks are ready`, () => made().length === spares && ports() === spares + containers);
/** The one that a container has taken; undefined when it has one of its own making. */
const takenBy = ({ metadata }: Container): string | undefined => {
  const path = join(test().node.stateDir, "netns", `${metadata.uid}-${metadata.generation}`);
  try {
    return basename(readlinkSync(path));
  } catch {
    return undefined;
  }
};

afterEach(async () => {
  await test().deleteAll();
});

describe("networks made ahead", () => {
  it("are there from the first container on, each for one that comes, and go with the agent", async () => {
    const before = await test().audit();
    expect(made()).toEqual([]);
    const first = await running();
    expect(takenBy(first)).toBeUndefined();
    await untilReady(4, 1);
    const names = made();
    const second = await running();
    expect(names).toContain(takenBy(second));
    expect(await inside(second, `ping -c1 -W5 ${addressOf(first)} >/dev/null && ip -4 -o addr show eth0`)).toContain(
      ` ${addressOf(second)}/24 `,
    );
    await untilReady(4, 2);
    await test().node.stopAgent();
    expect(made()).toEqual([]);
    expect(ports()).toBe(2);
    test().node.startAgent();
    await test().node.agentReady();
    await test().deleteAll();
    expect(await test().leaks(before)).toEqual([]);
  });

  it("outlive an agent that is killed, and are the next one's", async () => {
    await running();
    await untilReady(4, 1);
    const names = made();
    await test().node.stopAgent("kill");
    expect(made().sort()).toEqual(names.sort());
    test().node.startAgent();
    await test().node.agentReady();
    const next = await running();
    expect(names).toContain(takenBy(next));
    await untilReady(4, 2);
  });

  it("are kept by a container that starts again, and go with it", async () => {
    await running();
    await untilReady(4, 1);
    const created = await running();
    const [name, address] = [takenBy(created), addressOf(created)];
    const restarted = await test().patch(created, {
      metadata: { annotations: { "berth.dev/restartedAt": "2026-01-02T03:04:05Z" } },
    });
    await test().until(
      restarted,
      "running again",
      ({ status }) => status?.state === "Running" && status.restartCount === 1,
    );
    expect(takenBy(created)).toBe(name);
    expect(addressOf(test().get(created) ?? created)).toBe(address);
    await test().delete(created);
    expect(readdirSync(join(test().node.stateDir, "spares"))).not.toContain(name);
  });
});
