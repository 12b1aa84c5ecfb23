/** The paths of a Container's life that are walked, in rings that end where they begin: with nothing. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Container, RESTARTED_AT } from "../../src/api/index.ts";
import { checkpointPath, containerPath } from "../../src/kube/index.ts";
import { askCheckpoint, checkpointsDir, untilCheckpoint, untilTaken } from "../support/checkpoint.ts";
import { everything } from "../support/failed-start.ts";
import { createObject } from "../support/pulling.ts";
import type { TestNode } from "../support/test-node.ts";
import { Subject } from "./subject.ts";
import type { Path, Ring } from "./walk.ts";

type Way = Omit<Path<Subject>, "name" | "isWalked">;
const walked = (name: string, path: Way): Path<Subject> => ({ name, isWalked: true, ...path });
const passed = (name: string, path: Way): Path<Subject> => ({ name, isWalked: false, ...path });

const REMOVAL: Way = { trigger: (subject) => subject.delete(), reached: (subject) => subject.isGone() };

/** All rings. */
export const RINGS = ["pull", "end", "automatic removal", "life", "checkpoints", "recovery", "neighbours"] as const;

/** A ring of a node. */
export function ringOf(test: TestNode, name: (typeof RINGS)[number]): Ring<Subject> {
  return { subject: (number) => new Subject(test, number), paths: PATHS[name] };
}

/** A first start whose image is not there. What comes after the pull is a start like any other. */
const PULL: readonly Path<Subject>[] = [
  walked("pull", {
    until: ({ kind, what }) => kind === "begin" && what === "grpc Leases/Create",
    prepare: async ({ test }) => {
      await test.node.ctr("images", "remove", "--sync", test.image());
    },
    trigger: (subject) => subject.create(),
    reached: (subject) => subject.runs(),
  }),
  passed("removal after the pull", REMOVAL),
];

/** From the first start to the removal, with all that a container can acquire. */
const LIFE: readonly Path<Subject>[] = [
  walked("start", {
    trigger: (subject) => subject.create(everything(subject.test, { tty: false })),
    reached: (subject) => subject.runs(),
  }),
  walked("restart after an exit", {
    group: "exit",
    trigger: async (subject) => {
      subject.expectRun("restart");
      subject.signal("SIGUSR1");
      return Promise.resolve();
    },
    reached: (subject) => subject.runs({ exitCode: 3 }),
  }),
  walked("restart", {
    group: "restart",
    trigger: async (subject) => {
      subject.expectRun("restart");
      await subject.patch({ metadata: { annotations: { [RESTARTED_AT]: "1" } } });
    },
    reached: (subject) => subject.runs({ exitCode: 7, restartedAt: "1" }),
  }),
  walked("recreation", {
    group: "recreation",
    trigger: async (subject) => {
      subject.expectRun();
      subject.restarts = 0;
      await subject.patch({ spec: { env: [{ name: "NEW", value: "1" }] } });
    },
    reached: (subject) => subject.runs(),
  }),
  walked("pause", {
    group: "pause",
    trigger: (subject) => subject.patch({ spec: { desiredState: "Paused" } }),
    reached: (subject) => subject.isPaused(),
  }),
  walked("resume", {
    group: "pause",
    trigger: (subject) => subject.patch({ spec: { desiredState: "Running" } }),
    reached: (subject) => subject.runs(),
  }),
  walked("stop", {
    group: "stop",
    trigger: (subject) => subject.patch({ spec: { desiredState: "Stopped" } }),
    reached: (subject) => subject.hasEnded({ exitCode: 7, reason: "Error" }),
  }),
  walked("start again", {
    group: "stop",
    trigger: async (subject) => {
      subject.expectRun();
      await subject.patch({ spec: { desiredState: "Running" } });
    },
    reached: (subject) => subject.runs(),
  }),
  walked("removal", REMOVAL),
];

/** What comes from others, and stays with them: a network that is joined, a link, a named volume, files of a Secret; a terminal. */
const NEIGHBOURS: readonly Path<Subject>[] = [
  walked("start in another's network", {
    prepare: findPeer,
    trigger: (subject) =>
      subject.create({
        tty: true,
        network: { mode: "Container", container: PEER },
        volumes: [
          { name: "named", volume: { name: "walk" } },
          { name: "secret", secret: { secretName: "walk" } },
        ],
        volumeMounts: [
          { name: "named", mountPath: "/named" },
          { name: "secret", mountPath: "/secret" },
        ],
      }),
    reached: (subject) => subject.runs(),
  }),
  walked("restart in another's network", {
    group: "joined restart",
    trigger: async (subject) => {
      subject.expectRun("restart");
      subject.signal("SIGUSR1");
      return Promise.resolve();
    },
    reached: (subject) => subject.runs({ exitCode: 3 }),
  }),
  walked("recreation with a link", {
    group: "link",
    trigger: async (subject) => {
      subject.expectRun();
      subject.restarts = 0;
      await subject.patch({ spec: { network: { mode: "Bridge", container: null, links: [{ container: PEER }] } } });
    },
    reached: (subject) => subject.runs(),
  }),
  walked("removal with neighbours", {
    ...REMOVAL,
    reached: async (subject) => {
      await subject.isGone();
      // Kept, as it must be: the next one finds none again.
      rmSync(join(subject.test.node.dataDir, "volumes"), { recursive: true, force: true });
    },
  }),
];

const PEER = "walk-peer";

/** The Container that the others need; there is one, for all of them. */
async function findPeer(subject: Subject): Promise<void> {
  const { test } = subject;
  const path = containerPath("default", PEER);
  const isThere = await test.api.get(path).then(
    () => true,
    () => false,
  );
  if (!isThere) {
    await createObject(test, "Secret", "walk", { stringData: { key: "value" } }).catch(() => undefined);
    await test.create({ network: { mode: "Bridge" } }, { name: PEER });
  }
  subject.peer = await test.untilCondition(await test.api.get<Container>(path), "Ready");
}

/** Agents that die while they clear up after one that has died: without a record, with a task, within a removal. */
const RECOVERY: readonly Path<Subject>[] = [
  walked("recovery from half a start", {
    after: { kind: "begin", what: "run portmap", hit: 1, afterMs: 1 },
    trigger: (subject) => subject.create(everything(subject.test, { tty: false })),
    reached: (subject) => subject.runs(),
  }),
  walked("recovery from half a removal", {
    after: { kind: "end", what: "run bridge", hit: 1, afterMs: 0 },
    ...REMOVAL,
  }),
  walked("recovery from a start with a task", {
    group: "task",
    after: { kind: "end", what: "grpc Tasks/Create", hit: 1, afterMs: 0 },
    trigger: (subject) => subject.create(everything(subject.test, { tty: false })),
    reached: (subject) => subject.runs(),
  }),
  passed("removal after the recovery", { group: "task", ...REMOVAL }),
];

/** An end for good. */
const END: readonly Path<Subject>[] = [
  passed("start before the end", {
    trigger: (subject) => subject.create({ restartPolicy: "Never" }),
    reached: (subject) => subject.runs(),
  }),
  walked("end", {
    trigger: async (subject) => {
      subject.signal("SIGUSR1");
      return Promise.resolve();
    },
    reached: (subject) => subject.hasEnded({ exitCode: 3, reason: "Error" }),
  }),
  passed("removal after the end", REMOVAL),
];

const AUTO_REMOVAL: readonly Path<Subject>[] = [
  passed("start before the automatic removal", {
    trigger: (subject) => subject.create({ restartPolicy: "Never", autoRemove: true }),
    reached: (subject) => subject.runs(),
  }),
  walked("automatic removal", {
    trigger: async (subject) => {
      subject.signal("SIGUSR1");
      return Promise.resolve();
    },
    reached: (subject) => subject.isGone(),
  }),
];

/** Counts in a file, by a shell that remembers the number. */
const COUNT = [
  "trap 'exit 0' TERM",
  "echo run >>/marks/runs",
  "i=0; while true; do i=$((i + 1)); echo $i >>/marks/numbers; sleep 0.03; done",
].join("; ");

/** Checkpoints, one that its container outlives and one that it goes on from. Its process is started once in all. */
const CHECKPOINTS: readonly Path<Subject>[] = [
  passed("start before the checkpoints", {
    trigger: (subject) => subject.create({ command: ["sh", "-c", COUNT] }),
    reached: (subject) => countsOn(subject),
  }),
  walked("checkpoint", {
    group: "checkpoint",
    trigger: (subject) => take(subject, true),
    reached: async (subject) => {
      await isTaken(subject);
      await countsOn(subject);
    },
  }),
  walked("removal of a checkpoint", { group: "checkpoint", trigger: removeCheckpoint, reached: checkpointIsGone }),
  walked("checkpoint that ends the container", {
    group: "restore",
    trigger: (subject) => take(subject, false),
    reached: async (subject) => {
      await isTaken(subject);
      await subject.hasEnded({ exitCode: 137, reason: "Checkpointed" });
    },
  }),
  walked("restore", {
    group: "restore",
    trigger: (subject) => subject.patch({ spec: { restoreFrom: subject.checkpoint?.metadata.name } }),
    reached: (subject) => countsOn(subject),
  }),
  passed("removal of what was restored", REMOVAL),
  passed("removal of what it was restored from", {
    group: "restore",
    trigger: removeCheckpoint,
    reached: checkpointIsGone,
  }),
];

/** It runs and counts, and has left out no number and written none twice: no process of it was started, or restored, twice. */
async function countsOn(subject: Subject): Promise<void> {
  const { length } = subject.written("numbers");
  await subject.runs();
  await subject.untilWritten("numbers", (lines) => lines.length >= length + 3);
  const wrong = subject.written("numbers").findIndex((line, index) => Number(line) !== index + 1);
  if (wrong >= 0) throw new Error(`after ${wrong} comes ${subject.written("numbers")[wrong] ?? ""}`);
}

async function take(subject: Subject, leaveRunning: boolean): Promise<void> {
  subject.checkpoint = await askCheckpoint(subject.test, subject.name, { leaveRunning });
}

async function isTaken({ test, checkpoint }: Subject): Promise<void> {
  if (checkpoint === undefined) throw new Error("there is no checkpoint");
  const { status } = await untilTaken(test, checkpoint);
  if (status?.state !== "Completed") throw new Error(`the checkpoint has failed: ${status?.message ?? ""}`);
}

async function removeCheckpoint({ test, checkpoint }: Subject): Promise<void> {
  await test.api.delete(checkpointPath("default", checkpoint?.metadata.name));
}

async function checkpointIsGone({ test, checkpoint }: Subject): Promise<void> {
  if (checkpoint === undefined) throw new Error("there is no checkpoint");
  await untilCheckpoint(test, checkpoint, (now) => now?.metadata.uid !== checkpoint.metadata.uid);
  const directory = checkpointsDir(test);
  const left = existsSync(directory) ? readdirSync(directory) : [];
  if (left.length > 0) throw new Error(`left of checkpoints: ${left.join(", ")}`);
}

const PATHS = {
  pull: PULL,
  life: LIFE,
  neighbours: NEIGHBOURS,
  end: END,
  "automatic removal": AUTO_REMOVAL,
  recovery: RECOVERY,
  checkpoints: CHECKPOINTS,
};
