/**
 * The budget's limits on the cgroup under which all Containers live. Kept, not only set: the cgroup may be removed, and
 * goes with a reboot. What can't be had is told, and fails nothing.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { type CgroupLimits, type Cgroups, limitCgroup, orMissing, type WrittenLimits } from "../node/index.ts";

/** What the limits are kept with. */
export interface BudgetOptions {
  readonly budget: CgroupLimits;
  readonly cgroups: Cgroups;
  readonly cgroupRoot: string;
  readonly stateDir: string;
  /** Writes an Event on the Node; never fails, never waits. */
  readonly announce: (type: "Normal" | "Warning", reason: string, message: string) => void;
  readonly logger: Logger;
}

type Resource = keyof CgroupLimits;

/** Nothing here throws. */
export class BudgetLimits {
  readonly #options: BudgetOptions;
  #isTold = false;
  #owned: readonly Resource[] | undefined;
  #keeping: Promise<void> | undefined;

  constructor(options: BudgetOptions) {
    this.#options = options;
  }

  /** Makes the cgroup root have its limits. Those who ask at once share the answer. */
  keep(): Promise<void> {
    this.#keeping ??= this.#keep().finally(() => {
      this.#keeping = undefined;
    });
    return this.#keeping;
  }

  async #keep(): Promise<void> {
    const { cgroups, cgroupRoot, budget, announce, logger } = this.#options;
    try {
      this.#owned ??= await this.#own();
      const limits = this.#owned.map((resource) => [resource, budget[resource] ?? null]);
      await limitCgroup(cgroups, cgroupRoot, Object.fromEntries(limits) as WrittenLimits);
      if (this.#isTold) logger.info("the budget for Containers is enforced");
      this.#isTold = false;
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      const message = `The budget for Containers is not enforced: ${words}. It is tried again with each start and end of one.`;
      logger[this.#isTold ? "debug" : "warn"](message);
      if (!this.#isTold) announce("Warning", "BudgetNotEnforced", message);
      this.#isTold = true;
    }
  }

  /**
   * The limits that are Berth's: what this agent or an earlier one of this boot was told to set. One that it is not told of
   * any more is lifted; one that somebody else has set stays.
   */
  async #own(): Promise<Resource[]> {
    const { budget, stateDir } = this.#options;
    const path = join(stateDir, "budget");
    const earlier = ((await orMissing(readFile(path, "utf8"))) ?? "").split("\n").filter(Boolean) as Resource[];
    const owned = [...new Set([...earlier, ...(Object.keys(budget) as Resource[])])];
    if (owned.length > earlier.length) {
      await mkdir(stateDir, { recursive: true });
      await writeFile(path, `${owned.join("\n")}\n`);
    }
    return owned;
  }
}
