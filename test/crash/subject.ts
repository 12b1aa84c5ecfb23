/** The Container that a walk goes round with, and what must be true of it however often its agent has died. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Container,
  type ContainerCheckpoint,
  type ContainerSpec,
  type ContainerStatus,
} from "../../src/api/index.ts";
import { containerPath } from "../../src/kube/index.ts";
import { pidOf } from "../support/away.ts";
import type { TestNode } from "../support/test-node.ts";

/** Milliseconds that a container's process may take to say something. */
const TIMEOUT_MS = 20_000;
const POLL_MS = 5;

/** Says in a file of the node's that it was started; ends with another code for each way to end it. */
const SCRIPT = "trap 'exit 7' TERM; trap 'exit 3' USR1; echo run >>/marks/runs; sleep 3600 & wait";

/** A Container on its way round. */
export class Subject {
  /** Restarts that its status must tell of. */
  restarts = 0;
  /** The checkpoint taken of it last. */
  checkpoint: ContainerCheckpoint | undefined;
  /** Another Container that this one needs, and that runs on all the time. */
  peer: Container | undefined;
  readonly test: TestNode;
  readonly name: string;
  /** How often its process must have been started, in all incarnations. */
  #runs = 0;
  #created: Container | undefined;
  #seen: Container | undefined;

  constructor(test: TestNode, number: number) {
    this.test = test;
    this.name = `walk-${number}`;
  }

  /** The object as it was written last. */
  get object(): Container {
    return known(this.#created, this.name);
  }

  /** The object as it was when it last was as it should be. */
  get seen(): Container {
    return known(this.#seen, this.name);
  }

  /** Makes the Container; its process is expected to start once. */
  async create(spec: Partial<ContainerSpec> = {}): Promise<void> {
    mkdirSync(this.#marks, { recursive: true });
    this.expectRun();
    const { volumes = [], volumeMounts = [] } = spec;
    const whole = {
      command: ["sh", "-c", SCRIPT],
      ...spec,
      volumes: [...volumes, { name: "marks", hostPath: { path: this.#marks } }],
      volumeMounts: [...volumeMounts, { name: "marks", mountPath: "/marks" }],
    };
    this.#created = await this.test.create(whole, { name: this.name });
  }

  /** Changes the Container. */
  async patch(patch: object): Promise<void> {
    this.#created = await this.test.patch(this.object, patch);
  }

  /** Asks for its deletion. */
  async delete(): Promise<void> {
    await this.test.api.delete(containerPath("default", this.name));
  }

  /** Sends a signal to its process. */
  signal(signal: NodeJS.Signals): void {
    process.kill(pidOf(this.seen), signal);
  }

  /** From now on its process must have been started once more. */
  expectRun(counts: "restart" | "anew" = "anew"): void {
    this.#runs++;
    if (counts === "restart") this.restarts++;
  }

  /** It runs, and no other process does. */
  async runs(wanted: Partial<ContainerStatus> = {}): Promise<void> {
    await this.is({ state: "Running", ...wanted }, isReady);
    await this.#expectTasks([idOf(this.seen)]);
  }

  /** It is paused. */
  async isPaused(): Promise<void> {
    await this.is({ state: "Paused" }, isReady);
    await this.#expectTasks([idOf(this.seen)]);
  }

  /** It has ended, and there is no task. */
  async hasEnded(wanted: Partial<ContainerStatus>): Promise<void> {
    await this.is({ state: "Exited", ...wanted });
    await this.#expectTasks([]);
  }

  /** It is gone. */
  async isGone(): Promise<void> {
    await this.test.untilGone(this.object);
    await this.#hasRun();
    await this.#expectTasks([]);
  }

  /** Its status tells of its newest spec, and is so; `also` says what else it must be. */
  async is(wanted: Partial<ContainerStatus>, also: (status: ContainerStatus) => boolean = () => true): Promise<void> {
    const { generation } = this.object.metadata;
    const all = Object.entries({ restartCount: this.restarts, ...wanted });
    this.#seen = await this.test.until(this.object, JSON.stringify(all), ({ metadata, status }) => {
      if (metadata.generation < generation || status?.observedGeneration !== metadata.generation) return false;
      return also(status) && all.every(([name, value]) => status[name as keyof ContainerStatus] === value);
    });
    await this.#hasRun();
  }

  /** What its process has written, by lines. */
  written(file: string): string[] {
    const path = join(this.#marks, file);
    return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
  }

  /** Waits until its process has written enough. */
  async untilWritten(file: string, isEnough: (lines: readonly string[]) => boolean): Promise<void> {
    const deadline = Date.now() + TIMEOUT_MS;
    while (!isEnough(this.written(file))) {
      if (Date.now() > deadline)
        throw new Error(`${this.name} has written ${this.written(file).length} lines of ${file}`);
      await delay(POLL_MS);
    }
  }

  /** Its process says so itself, a moment after it was started. */
  async #hasRun(): Promise<void> {
    await this.untilWritten("runs", ({ length }) => length >= this.#runs);
    const { length } = this.written("runs");
    if (length > this.#runs) throw new Error(`${this.name} was started ${length} times, not ${this.#runs}`);
  }

  async #expectTasks(ids: readonly string[]): Promise<void> {
    const found = (await this.test.node.ctr("tasks", "list", "--quiet")).split("\n").filter(Boolean);
    const wanted = [...ids, ...(this.peer === undefined ? [] : [idOf(this.peer)])].sort();
    if (found.sort().join() === wanted.join()) return;
    throw new Error(`there are the tasks [${found.join(", ")}], not [${wanted.join(", ")}]`);
  }

  get #marks(): string {
    return join(this.test.node.dir, "marks", this.name);
  }
}

function idOf({ status }: Container): string {
  return status?.containerID?.replace("containerd://", "") ?? "";
}

/** Nothing is under way: what runs is not an earlier incarnation that is being stopped. */
function isReady({ conditions = [] }: ContainerStatus): boolean {
  return conditions.some(({ type, status }) => type === "Ready" && status === "True");
}

function known(object: Container | undefined, name: string): Container {
  if (object === undefined) throw new Error(`${name} was not seen yet`);
  return object;
}
