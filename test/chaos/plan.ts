/** What will be wished and what will fail, and when: all of it follows from the seed, nothing from how the run goes. */
import type { ContainerSpec } from "../../src/api/index.ts";
import { kindOf, type KindName, MIXED, type Verb } from "./kinds.ts";
import { Random } from "./random.ts";

/** A wish about the Container of one slot. */
export type Wish =
  /** A new object under the slot's name; whatever is there goes first. */
  | { readonly verb: "create"; readonly kind: KindName }
  | { readonly verb: "delete" }
  /** A deletion whose finalizer is torn off. */
  | { readonly verb: "tear" }
  | { readonly verb: "desire"; readonly state: "Running" | "Stopped" | "Paused" }
  | { readonly verb: "restart"; readonly value: string }
  | { readonly verb: "edit"; readonly change: Partial<ContainerSpec>; readonly rebuilds: boolean }
  /** A line for the container's own process. */
  | { readonly verb: "order"; readonly order: string };

/** A wish with its time, in milliseconds from the round's beginning, and the slot it is about. */
export interface PlannedWish {
  readonly at: number;
  readonly slot: number;
  readonly wish: Wish;
}

/** Who fails: `agent-0`, `containerd-1`, `apiserver`. */
export type Target = `agent-${number}` | `containerd-${number}` | "apiserver";

/** SIGKILL, SIGTERM, or SIGSTOP and SIGCONT. */
export type How = "kill" | "stop" | "freeze";

/** A fault: who is taken away when, how, and for how long (milliseconds). */
export interface PlannedFault {
  readonly at: number;
  readonly target: Target;
  readonly how: How;
  readonly forMs: number;
}

/** A while of wishes and faults. */
export interface Round {
  readonly lengthMs: number;
  readonly wishes: readonly PlannedWish[];
  readonly faults: readonly PlannedFault[];
}

/** Slots of a node that always have the same kind: the first ones are left in peace, and must live through everything. */
export const STEADY: readonly KindName[] = ["plain", "published", "volumes"];
export const ANCHOR = STEADY.length;
const PLACED: readonly KindName[] = [...STEADY, "bridge", "joiner", "joiner", "linker"];

/** How often each part fails (milliseconds between two faults of one, on average), and how. */
const FAULTS: readonly { what: "agent" | "containerd" | "apiserver"; meanMs: number; hows: readonly Weighted[] }[] = [
  {
    what: "agent",
    meanMs: 9000,
    hows: [
      [{ how: "kill", forMs: 0 }, 3],
      [{ how: "kill", forMs: 3000 }, 3],
      [{ how: "stop", forMs: 2000 }, 2],
      [{ how: "freeze", forMs: 3000 }, 1],
    ],
  },
  {
    what: "containerd",
    meanMs: 20_000,
    hows: [
      [{ how: "kill", forMs: 0 }, 3],
      [{ how: "kill", forMs: 4000 }, 2],
      [{ how: "stop", forMs: 2000 }, 1],
      [{ how: "freeze", forMs: 6000 }, 3],
    ],
  },
  {
    what: "apiserver",
    meanMs: 40_000,
    hows: [
      [{ how: "kill", forMs: 1000 }, 2],
      [{ how: "kill", forMs: 8000 }, 1],
      [{ how: "freeze", forMs: 7000 }, 2],
    ],
  },
];
type Weighted = readonly [Pick<PlannedFault, "how" | "forMs">, number];

/** Orders to exit, and with what. */
const EXIT_CODES = [0, 0, 1, 3, 42];

interface PlannedSlot {
  kind?: KindName;
  desired: "Running" | "Stopped" | "Paused";
}

/** What a plan is for. */
export interface PlannerOptions {
  readonly nodes: number;
  /** Places for Containers, on all nodes together. */
  readonly slots: number;
  /** Milliseconds between two wishes on average. */
  readonly wishMs: number;
  /** Whether parts fail. */
  readonly faults: boolean;
}

/** Makes the plan, a round at a time. It goes by its own wishes alone, as if all of them had come true. */
export class Planner {
  readonly #random: Random;
  readonly #options: PlannerOptions;
  readonly #slots: PlannedSlot[];
  #values = 0;

  constructor(seed: number, options: PlannerOptions) {
    this.#random = new Random(seed);
    this.#options = options;
    this.#slots = Array.from({ length: options.slots }, () => ({ desired: "Running" }));
  }

  /** Slots are dealt out to the nodes in turn. */
  place(slot: number): { node: number; index: number } {
    return { node: slot % this.#options.nodes, index: Math.floor(slot / this.#options.nodes) };
  }

  /** The wishes that make those that are left in peace. */
  steady(): PlannedWish[] {
    return this.#all().flatMap((slot) => (this.#isSteady(slot) ? [{ at: 0, slot, wish: this.#create(slot) }] : []));
  }

  /** The next round. In the first one all others are made, at once. */
  round(lengthMs: number, first: boolean): Round {
    const { wishMs, faults } = this.#options;
    const churning = this.#all().filter((slot) => !this.#isSteady(slot));
    const wishes = first ? churning.map((slot) => ({ at: 0, slot, wish: this.#create(slot) })) : [];
    for (let at = this.#random.gap(wishMs); at < lengthMs; at += this.#random.gap(wishMs)) {
      const slot = this.#random.pick(churning);
      for (const wish of this.#wishes(slot)) wishes.push({ at, slot, wish });
    }
    return { lengthMs, wishes, faults: faults ? this.#faults(lengthMs) : [] };
  }

  #all(): number[] {
    return this.#slots.map((_, slot) => slot);
  }

  #isSteady(slot: number): boolean {
    return this.place(slot).index < STEADY.length;
  }

  #create(slot: number): Wish {
    const kind = PLACED[this.place(slot).index] ?? this.#random.weighted(MIXED);
    this.#slots[slot] = { kind, desired: "Running" };
    return { verb: "create", kind };
  }

  #wishes(number: number): Wish[] {
    const slot = this.#slots[number];
    if (slot?.kind === undefined) return [this.#create(number)];
    const kind = kindOf(slot.kind);
    if (slot.desired !== "Running" && this.#random.chance(0.7)) return [this.#desire(slot, "Running")];
    const verb = this.#random.pick(kind.verbs);
    // Made again under the same name at once: an object with a new uid, while the old one may still be on the node.
    const again = (verb === "delete" || verb === "tear") && this.#random.chance(0.5);
    return [this.#wish(slot, verb), ...(again ? [this.#create(number)] : [])];
  }

  #wish(slot: PlannedSlot, verb: Verb): Wish {
    switch (verb) {
      case "stop":
        return this.#desire(slot, "Stopped");
      case "pause":
        return this.#desire(slot, "Paused");
      case "restart":
        return { verb, value: `v${++this.#values}` };
      case "tune":
        return { verb: "edit", change: this.#tuning(), rebuilds: false };
      case "rebuild":
        return { verb: "edit", change: { env: [{ name: "ROUND", value: String(++this.#values) }] }, rebuilds: true };
      case "exit":
        return { verb: "order", order: `exit ${this.#random.pick(EXIT_CODES)}` };
      case "oom":
        return { verb: "order", order: `oom ${this.#random.pick(["child", "itself"])}` };
      case "sick":
        return { verb: "order", order: "sick" };
      case "delete":
      case "tear":
        delete slot.kind;
        return { verb };
    }
  }

  #desire(slot: PlannedSlot, state: PlannedSlot["desired"]): Wish {
    slot.desired = state;
    return { verb: "desire", state };
  }

  #tuning(): Partial<ContainerSpec> {
    const number = this.#random.between(20, 90);
    return this.#random.pick<Partial<ContainerSpec>>([
      { pidsLimit: number },
      { resources: { limits: { cpu: `${number * 10}m` } } },
      { logging: { maxFiles: number } },
    ]);
  }

  // Each process has its own, one after the other: the next begins only after the last is over.
  #faults(lengthMs: number): PlannedFault[] {
    const faults = FAULTS.flatMap(({ what, meanMs, hows }) =>
      this.#targets(what).flatMap((target) => {
        const own: PlannedFault[] = [];
        for (let at = this.#random.gap(meanMs); at < lengthMs;) {
          const { how, forMs } = this.#random.weighted(hows);
          const fault = { at, target, how, forMs: Math.round(forMs * (0.3 + this.#random.next())) };
          own.push(fault);
          at += fault.forMs + this.#random.gap(meanMs);
        }
        return own;
      }),
    );
    return faults.sort((a, b) => a.at - b.at);
  }

  #targets(what: (typeof FAULTS)[number]["what"]): Target[] {
    if (what === "apiserver") return [what];
    return Array.from({ length: this.#options.nodes }, (_, node) => `${what}-${node}` as const);
  }
}
