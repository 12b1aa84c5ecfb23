/** Writes statuses: one patch, and none when it would say nothing new. What could not be written is not forgotten. */
import type { Container, ContainerStatus, State } from "../api/index.ts";
import { containerPath, isNotFound, isUnavailable, keyOf, type KubeApi, patchFor } from "../kube/index.ts";
import type { ContainerCache } from "./reconcile.ts";
import type { Verdict } from "./record.ts";
import { stillUnknown, withoutRuntime } from "./status.ts";
import { endedForGood, isMarked, verdictOf } from "./told.ts";

/** Until then a server that does not answer holds up its container, whose next restart may be due. It is tried again. */
export const WRITE_TIMEOUT_MS = 5000;

/** Writes the status of this node's Containers. */
export class StatusWriter {
  readonly #api: Pick<KubeApi, "mergePatch">;
  readonly #cache: ContainerCache;
  /** What the API server could not be told yet: what it holds is older than this. */
  readonly #unsent = new Map<string, { uid: string; status: ContainerStatus }>();

  constructor(api: Pick<KubeApi, "mergePatch">, cache: ContainerCache) {
    this.#api = api;
    this.#cache = cache;
  }

  /** The state that the status tells of, be it written yet or not; `Pending` where there is none. */
  state(object: Container): State {
    return this.#latest(object).status?.state ?? "Pending";
  }

  /** The verdict on the last failed start that the status tells of, be it written yet or not. */
  verdict(object: Container): Verdict | undefined {
    return verdictOf(this.#latest(object));
  }

  /** The value of `spec.restoreFrom` that a start has used, as the status tells, be it written yet or not. */
  restoredFrom(object: Container): string | undefined {
    return this.#latest(object).status?.restoredFrom;
  }

  /**
   * Writes a status made from the object as it was last told of.
   * @throws ApiError, ApiUnavailable; the status is kept then, and written with the next call
   */
  async write(object: Container, make: (base: Container) => ContainerStatus): Promise<void> {
    const key = keyOf(object);
    const known = this.#cache.get(key);
    const stored = known?.metadata.uid === object.metadata.uid ? known : object;
    // The status is about the object as it was read: a spec that came meanwhile is not what was observed.
    const { status: latest } = this.#latest(stored);
    const status = make(latest === undefined ? object : { ...object, status: latest });
    const patch = patchFor(stored.status ?? {}, status);
    if (patch === undefined) {
      this.#unsent.delete(key);
      return;
    }
    const { namespace, name, uid } = object.metadata;
    try {
      const path = containerPath(namespace, name, "status");
      await this.#cache.write(key, () =>
        this.#api.mergePatch<Container>(path, { metadata: { uid }, status: patch }, { timeoutMs: WRITE_TIMEOUT_MS }),
      );
      this.#unsent.delete(key);
    } catch (error) {
      if (isNotFound(error)) return;
      if (isUnavailable(error)) this.#unsent.set(key, { uid, status });
      throw error;
    }
  }

  /** Says that containerd is away, where nothing is known of a start, or of why there is none, that this would overwrite. */
  async runtimeUnavailable(object: Container, error: Error, now: Date): Promise<void> {
    const latest = this.#latest(object);
    const { status } = latest;
    // The controller's word that the agent is away is no more true than what is known of the container.
    if (status?.containerID !== undefined && isMarked(status)) {
      await this.write(object, (base) => stillUnknown(base, error, now));
      return;
    }
    if (status?.containerID !== undefined || status?.startAttempts !== undefined || endedForGood(latest)) return;
    await this.write(object, (base) => withoutRuntime(base, error, now));
  }

  /** Forgets an object that is gone. */
  forget(key: string): void {
    this.#unsent.delete(key);
  }

  #latest(object: Container): Container {
    const unsent = this.#unsent.get(keyOf(object));
    return unsent !== undefined && unsent.uid === object.metadata.uid ? { ...object, status: unsent.status } : object;
  }
}
