// The same wishes, carried out by `docker run` and as a Container: what the process sees is equal, or the difference is in
// the list that docs/differences.md gives reasons for.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { readlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { buildImages, writeArchive } from "../../../hack/cluster/images.ts";
import { findTools } from "../../../hack/cluster/tools.ts";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { run } from "../../../src/node/index.ts";
import { Docker } from "../../support/docker.ts";
import { untilOutput } from "../../support/probe.ts";
import { useNode } from "../../support/test-node.ts";
import { ACCEPTED } from "./accepted.ts";
import { differences, linesOf, LOOK, type Run, type Words } from "./look.ts";
import { type Wish, wishesOn } from "./wishes.ts";

const test = useNode();

/** Wishes of one side that are carried out at once. */
const AT_ONCE = 3;
const SECCOMP = {
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [{ names: ["sethostname", "chown", "lchown", "fchownat"], action: "SCMP_ACT_ERRNO", errnoRet: 38 }],
};
/** Images are called so at Docker. */
const PREFIX = "docker.io";

let docker: Docker;
let wishes: readonly Wish[] = [];

const inNode = (...names: string[]): string => join(test().node.dir, ...names);
const inData = (...names: string[]): string => join(test().node.dataDir, ...names);

/** The images that the wishes name, and busybox. */
async function loadImages(): Promise<void> {
  const tags = new Set(["1.36", ...wishes.map(({ image = "" }) => image)]);
  for (const image of await buildImages(findTools())) {
    const [tag = ""] = image.tags;
    if (!tags.has(tag)) continue;
    await writeArchive(image, PREFIX, inNode(`${tag}.tar`));
    await docker.load(inNode(`${tag}.tar`));
  }
}

/** Carries out all wishes on one side, some at once. */
async function inTurns(side: (wish: Wish) => Promise<void>): Promise<void> {
  const rest = [...wishes];
  const worker = async (): Promise<void> => {
    for (let wish = rest.shift(); wish !== undefined; wish = rest.shift()) await side(wish);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

const seen = { docker: new Map<string, string[]>(), berth: new Map<string, string[]>() };

const commandOf = ({ command = ["sh", "-c", LOOK], imageCommand }: Wish): readonly string[] | undefined =>
  imageCommand === true ? undefined : command;

/** A container that others are linked to. */
async function startPeers(name: string): Promise<void> {
  const Entrypoint = ["sleep", "3600"];
  const ExposedPorts = { "80/tcp": {}, "81/tcp": {}, "53/udp": {} };
  const id = await docker.create(
    { Image: "busybox:1.36", Entrypoint, ExposedPorts, Hostname: name, Env: ["COLOR=red"] },
    name,
  );
  await docker.run(id);
  const peer: Partial<ContainerSpec> = {
    command: Entrypoint,
    env: [{ name: "COLOR", value: "red" }],
    network: { mode: "Bridge" },
    ports: [{ containerPort: 80 }, { containerPort: 81 }, { containerPort: 53, protocol: "UDP" }],
    terminationGracePeriodSeconds: 0,
  };
  await test().untilState(await test().create(peer, { name }), "Running");
}

async function byDocker(wish: Wish): Promise<void> {
  const { image, stop } = wish;
  const command = commandOf(wish);
  const create = docker.create({
    Image: image === undefined ? "busybox:1.36" : `berth/test:${image}`,
    ...(command === undefined ? {} : { Entrypoint: command }),
    ...wish.docker,
    HostConfig: { NetworkMode: "none", ...wish.host },
  });
  const id = await create.catch(() => undefined);
  if (id === undefined) {
    seen.docker.set(wish.name, ["creation refused"]);
    return;
  }
  const isStarted = await docker.run(id).then(
    () => true,
    () => false,
  );
  if (isStarted && stop !== undefined) await docker.untilOutput(id, "ready");
  if (isStarted) await (stop === undefined ? docker.wait(id) : docker.end(id, stop));
  const { Name, State } = await docker.inspect(id);
  const output = isStarted ? await docker.output(id) : "";
  const words: Words = [
    ...sharedWords(docker.cgroupParent, id, docker.pid),
    [id.slice(0, 12), "NAME"],
    [Name.slice(1), "NAME"],
    ...networkWords("172.17.0.0/16"),
  ];
  seen.docker.set(wish.name, linesOf({ exitCode: State.ExitCode, output }, words));
}

async function byBerth(wish: Wish): Promise<void> {
  const { image, stop } = wish;
  // $$ stands for one $ there, as in core/v1.
  const command = commandOf(wish)?.map((word) => word.replaceAll("$$", () => "$$$$"));
  const spec: Partial<ContainerSpec> = {
    image: test().image(image),
    command: command ?? [],
    restartPolicy: "Never",
    network: { mode: "None" },
    ...(stop === undefined ? {} : { terminationGracePeriodSeconds: stop }),
    ...wish.berth,
  };
  const container = await test().create(spec);
  if (stop !== undefined) {
    await untilOutput(test(), container, "ready");
    await test().patch(container, { spec: { desiredState: "Stopped" } });
  }
  const ended = await test().untilState(container, "Exited");
  seen.berth.set(wish.name, linesOf(runOf(ended), wordsOf(ended)));
}

function runOf(container: Container): Run {
  const { exitCode, startedAt } = container.status ?? {};
  return { exitCode, output: startedAt === undefined ? "" : test().output(container) };
}

function wordsOf({ metadata, status }: Container): Words {
  const { node } = test();
  const id = status?.containerID?.replace("containerd://", "") ?? metadata.uid;
  return [
    ...sharedWords(node.cgroupRoot, id, process.pid),
    [metadata.name, "NAME"],
    ...networkWords(node.bridgeSubnet),
  ];
}

/** What is named otherwise on either side, and means the same. */
function sharedWords(cgroupRoot: string, id: string, hostPid: number): Words {
  const namespaces = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"].map(
    (name) => [readlinkSync(`/proc/${hostPid}/ns/${name}`), "the host's"] as const,
  );
  return [
    ...namespaces,
    [/\w+:\[\d+\]/g, "its own"],
    // How it was mounted first, by whomever; each mount has options of its own.
    ["sysfs sysfs rw", "sysfs sysfs ro"],
    // Docker makes its own directory a shared mount; Berth's is what the node's is.
    [/^(mounts \/(?:data)? \S+) (?:master|private) /g, "$1 "],
    [/,?(lowerdir|upperdir|workdir|uuid|index|xino)=[^, ]+/g, ""],
    [`${cgroupRoot}/`, "CGROUPS/"],
    [id, "ID"],
  ];
}

/** Addresses of the side's bridge, whose first one is the gateway's. */
function networkWords(subnet: string): Words {
  const [, prefix = "", length = ""] = /^(.*)\.\d+(\/\d+)$/.exec(subnet) ?? [];
  const escaped = prefix.replaceAll(".", "\\.");
  return [
    [subnet, "SUBNET"],
    [new RegExp(`${escaped}\\.1(?!\\d)`, "g"), "GATEWAY"],
    [new RegExp(`${escaped}\\.\\d+`, "g"), "ADDRESS"],
    [`ADDRESS${length}`, "ADDRESS/PREFIX"],
  ];
}

describe("what a process sees, by docker run and in a Container", () => {
  beforeAll(async () => {
    const { node } = test();
    docker = new Docker(node);
    await Promise.all([
      mkdir(inNode("shared")),
      mkdir(inNode("devices")),
      mkdir(inData("seccomp"), { recursive: true }),
    ]);
    await run("mknod", [inNode("devices/control"), "c", "10", "237"]);
    await writeFile(inData("seccomp/own.json"), JSON.stringify(SECCOMP));
    const peer = `peer-${node.index}`;
    wishes = wishesOn({
      dir: node.dir,
      index: node.index,
      peer,
      seccomp: SECCOMP,
      cgroupParent: docker.cgroupParent,
    });
    await docker.start();
    await loadImages();
    await startPeers(peer);
    const sides = await Promise.allSettled([inTurns(byDocker), inTurns(byBerth)]);
    for (const side of sides) if (side.status === "rejected") throw side.reason;
  }, 180_000);

  afterAll(async () => {
    await docker.stop();
    for (const name of ["seccomp", "volumes"]) await rm(inData(name), { recursive: true, force: true });
  });

  it("is compared for each of at least 40 wishes", () => {
    const names = wishes.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThanOrEqual(40);
    const { docker, berth } = seen;
    expect([...docker.keys()].sort()).toEqual([...names].sort());
    expect([...berth.keys()].sort()).toEqual([...names].sort());
    const looks = wishes.filter(({ command, imageCommand }) => command === undefined && imageCommand !== true);
    const cut = looks.filter(({ name }) => ![docker, berth].every((side) => side.get(name)?.includes("end reached")));
    expect(cut).toEqual([]);
  });

  it("would show", () => {
    const shown = differences(seen.docker.get("cap-drop CHOWN") ?? [], seen.berth.get("cap-drop ALL") ?? []);
    expect(shown).toEqual(
      expect.arrayContaining(["- status CapEff: 00000000a80425fa", "+ status CapEff: 0000000000000000"]),
    );
  });

  it("is the same but for what the docs give reasons for", () => {
    const unused = new Set(ACCEPTED);
    const surprises = wishes.flatMap(({ name }) =>
      differences(seen.docker.get(name) ?? [], seen.berth.get(name) ?? [])
        .filter((line) => {
          const reasons = ACCEPTED.filter(
            ({ lines, only }) => lines.test(line) && (only === undefined || only.includes(name)),
          );
          for (const reason of reasons) unused.delete(reason);
          return reasons.length === 0;
        })
        .map((line) => `${name}: ${line}`),
    );
    expect(surprises).toEqual([]);
    // What is not needed any more must go, here and in the docs.
    expect([...unused].map(({ because }) => because)).toEqual([]);
  });
});
