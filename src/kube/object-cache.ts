import { compareVersions, keyOf, type KubeObject } from "./object.ts";

/** What a key now stands for; undefined: nothing any more. */
export type Change<T> = { key: string; object: T | undefined };

/**
 * The objects of a list-watch, and what about them is news. Knows which versions this process wrote itself: those are in
 * the cache when the write's answer arrives ({@link put}) and are no news when the watch brings them.
 */
export class ObjectCache<T extends KubeObject> {
  readonly #include: (object: T) => boolean;
  readonly #trim: (object: T) => T;
  #objects = new Map<string, T>();
  /** Versions put since the watch last brought one of that key. */
  readonly #written = new Map<string, Set<string>>();
  /** Keys put since the list under way was asked for: its answer may be older than they are. */
  #putSinceList = new Set<string>();

  /**
   * @param include which objects count
   * @param trim what of an object is kept; metadata has to be
   */
  constructor(include: (object: T) => boolean = () => true, trim: (object: T) => T = (object) => object) {
    this.#include = include;
    this.#trim = trim;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  /** To be called before a list is asked for whose answer goes to {@link replace}. */
  beginList(): void {
    this.#putSinceList = new Set();
  }

  /**
   * Takes over the answer of a list; tells what differs from before, deletions included.
   * @param anew versions may stand for something else than before: everything in it is news
   */
  replace(items: T[], anew = false): Change<T>[] {
    const before = this.#objects;
    this.#objects = new Map();
    const changes: Change<T>[] = [];
    for (const listed of items) {
      if (!this.#include(listed)) continue;
      const key = keyOf(listed);
      const old = before.get(key);
      const ahead = old !== undefined && this.#putSinceList.has(key) && isOlder(listed, old);
      const object = ahead ? old : this.#slim(listed);
      this.#objects.set(key, object);
      if (anew || old === undefined || !isSame(old, object)) changes.push({ key, object });
    }
    for (const key of before.keys()) if (!this.#objects.has(key)) changes.push({ key, object: undefined });
    this.#written.clear();
    return changes;
  }

  /** Takes an event of the watch; answers with the change, undefined when it is no news. */
  apply(type: "ADDED" | "MODIFIED" | "DELETED", object: T): Change<T> | undefined {
    const key = keyOf(object);
    const cached = this.#objects.get(key);
    if (type === "DELETED" || !this.#include(object)) return this.#remove(key, object, cached);
    const own = this.#isOwn(key, object.metadata.resourceVersion);
    if (cached !== undefined) {
      if (isSame(cached, object)) return undefined;
      // Someone's change that lies behind our own later write: the cache is ahead, but nobody has been told of it.
      if (isOlder(object, cached)) return own ? undefined : { key, object: cached };
    }
    const kept = this.#slim(object);
    this.#objects.set(key, kept);
    return { key, object: kept };
  }

  /**
   * Takes the answer to an own write, so that the next look sees it; the watch will bring it too, later, and then it is no
   * news. Ignored when the object is gone meanwhile or the cache has a newer one.
   */
  put(object: T): void {
    const key = keyOf(object);
    const cached = this.#objects.get(key);
    if (cached === undefined || cached.metadata.uid !== object.metadata.uid) return;
    const order = compareVersions(object.metadata.resourceVersion, cached.metadata.resourceVersion);
    if (order === undefined || order <= 0) return;
    this.#objects.set(key, this.#slim(object));
    this.#putSinceList.add(key);
    const written = this.#written.get(key) ?? new Set();
    this.#written.set(key, written.add(object.metadata.resourceVersion));
  }

  #remove(key: string, object: T, cached: T | undefined): Change<T> | undefined {
    this.#written.delete(key);
    this.#putSinceList.delete(key);
    if (cached === undefined) return undefined;
    // The end of an earlier incarnation of the name.
    if (cached.metadata.uid !== object.metadata.uid && isOlder(object, cached)) return undefined;
    this.#objects.delete(key);
    return { key, object: undefined };
  }

  /** Without managedFields, which are often the larger half of an object and nobody here reads. */
  #slim(object: T): T {
    const metadata: T["metadata"] & { managedFields?: unknown } = object.metadata;
    delete metadata.managedFields;
    return this.#trim(object);
  }

  #isOwn(key: string, version: string): boolean {
    const written = this.#written.get(key);
    const own = written?.delete(version) ?? false;
    if (written?.size === 0) this.#written.delete(key);
    return own;
  }
}

function isSame(a: KubeObject, b: KubeObject): boolean {
  return a.metadata.uid === b.metadata.uid && a.metadata.resourceVersion === b.metadata.resourceVersion;
}

function isOlder(a: KubeObject, b: KubeObject): boolean {
  return (compareVersions(a.metadata.resourceVersion, b.metadata.resourceVersion) ?? 1) < 0;
}
