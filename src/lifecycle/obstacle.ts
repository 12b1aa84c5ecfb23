/** What is in the way of giving back what a container has. */
import { isUnavailable } from "../containerd/index.ts";

/** What the giving back is for: the end of all of a container, or its rest after the end of a run. */
export type Purpose = "removal" | "rest";

/** Something that a container has can't be given back now. The message names each thing and why; it is tried again. */
export class Obstacle extends Error {
  override readonly name = "Obstacle";
  readonly purpose: Purpose;

  constructor(purpose: Purpose, message: string, options?: ErrorOptions) {
    super(message, options);
    this.purpose = purpose;
  }
}

/**
 * Gives things back, each by its name, beside each other: one that is in the way holds up no other.
 * @throws Obstacle naming all that could not be given back
 * @throws ContainerdError when containerd is away
 */
export async function giveBack(
  purpose: Purpose,
  things: Readonly<Record<string, () => Promise<unknown>>>,
): Promise<void> {
  const names = Object.keys(things);
  const settled = await Promise.allSettled(Object.values(things).map((undo) => undo()));
  const failed = settled.flatMap((result, index) =>
    result.status === "rejected" ? [{ name: names[index], reason: result.reason as unknown }] : [],
  );
  const away = failed.find(({ reason }) => isUnavailable(reason));
  if (away !== undefined) throw away.reason;
  if (failed.length === 0) return;
  const words = failed.map(
    ({ name, reason }) => `${name}: ${reason instanceof Error ? reason.message : String(reason)}`,
  );
  throw new Obstacle(purpose, words.join("; "), { cause: failed.map(({ reason }) => reason) });
}
