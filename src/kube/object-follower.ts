import type { Logger } from "pino";
import type { KubeApi } from "./api.ts";
import { ListWatch, type ListWatchTiming } from "./list-watch.ts";
import type { KubeObject } from "./object.ts";

/** One object to follow: the collection's path (`secretPath(namespace)`) and the object's name. */
export type FollowedObject = { path: string; name: string };

export type ObjectFollowerOptions = {
  api: KubeApi;
  /** An object that the key follows has come, changed or gone; see {@link ObjectFollower.get}. */
  onChange: (key: string) => void;
  logger: Logger;
  /** Shortened by tests. */
  timers?: Partial<ListWatchTiming>;
};

type Followed = { watch: ListWatch<KubeObject>; keys: Set<string>; synced: boolean };

/**
 * Follows single objects (a Secret, a ConfigMap) for as long as some key needs them, with one watch each, however many
 * keys there are; nothing is watched that nobody needs.
 */
export class ObjectFollower {
  readonly #options: ObjectFollowerOptions;
  readonly #followed = new Map<string, Followed>();
  #closed = false;

  constructor(options: ObjectFollowerOptions) {
    this.#options = options;
  }

  /** Has the key follow these objects, and no others any more; nothing once it is closed. */
  follow(key: string, objects: readonly FollowedObject[]): void {
    if (this.#closed) return;
    const wanted = new Map(objects.map((object) => [idOf(object), object]));
    for (const [id, followed] of this.#followed) {
      if (wanted.has(id) || !followed.keys.delete(key) || followed.keys.size > 0) continue;
      this.#followed.delete(id);
      void followed.watch.stop();
    }
    for (const [id, object] of wanted) {
      const followed = this.#followed.get(id) ?? this.#open(id, object);
      followed.keys.add(key);
    }
  }

  /** Whether an object is followed and known, and what it is: undefined when it does not exist. To be read only. */
  get(object: FollowedObject): { known: false } | { known: true; object: KubeObject | undefined } {
    const followed = this.#followed.get(idOf(object));
    if (followed?.synced !== true) return { known: false };
    return { known: true, object: followed.watch.list()[0] };
  }

  close(): void {
    this.#closed = true;
    for (const { watch } of this.#followed.values()) void watch.stop();
    this.#followed.clear();
  }

  #open(id: string, { path, name }: FollowedObject): Followed {
    const { api, logger, onChange, timers } = this.#options;
    const tell = () => {
      if (followed.synced) for (const key of followed.keys) onChange(key);
    };
    const watch = new ListWatch<KubeObject>({
      api,
      path,
      fieldSelector: `metadata.name=${name}`,
      include: ({ metadata }) => metadata.name === name,
      onChange: tell,
      onSync: () => {
        followed.synced = true;
        tell();
      },
      logger: logger.child({ name }),
      ...(timers === undefined ? {} : { timers }),
    });
    const followed: Followed = { watch, keys: new Set(), synced: false };
    this.#followed.set(id, followed);
    watch.start();
    return followed;
  }
}

function idOf({ path, name }: FollowedObject): string {
  return `${path}/${name}`;
}
