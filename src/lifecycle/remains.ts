/**
 * What is left of containers without a record that leads to it: the undo of a start failed, or a crash cut a start short and
 * what it left could not be removed. In memory only: an agent that starts finds all of it again.
 */
export class Remains {
  /** The key that each id was made for, where that is known. */
  readonly #keys = new Map<string, string | undefined>();
  readonly #removals = new Map<string, Promise<void>>();

  /** Something is left of an id. It is removed before anything else is done for its key or its object. */
  add(id: string, key?: string): void {
    this.#keys.set(id, key ?? this.#keys.get(id));
  }

  /** The ids that were made for a key, or for the object with this uid. */
  of(key: string, uid: string | undefined): string[] {
    const isMeant = ([id, madeFor]: [string, string | undefined]): boolean =>
      madeFor === key || (uid !== undefined && id.startsWith(`${uid}-`));
    return [...this.#keys].filter(isMeant).map(([id]) => id);
  }

  /** Removes what is left of an id. Whoever asks while that is under way waits for it, instead of doing it a second time. */
  remove(id: string, remove: () => Promise<void>): Promise<void> {
    const underWay = this.#removals.get(id);
    if (underWay !== undefined) return underWay;
    const removal = remove()
      .then(() => {
        this.#keys.delete(id);
      })
      .finally(() => {
        this.#removals.delete(id);
      });
    this.#removals.set(id, removal);
    return removal;
  }
}
