import type { ServiceClient } from "./client.ts";
import { isAlreadyExists, isNotFound } from "./errors.ts";
import type { Leases as LeasesService } from "./proto/leases_pb.ts";

/** The label that tells containerd's garbage collector when to ignore a lease. */
const EXPIRE_LABEL = "containerd.io/gc.expire";
/** Tells Berth's leases from those containerd makes for its own transfers. */
const OWN_LABEL = "berth.dev/lease";

/**
 * Leases of Berth's. What a call makes (a snapshot) under a lease named in its options is safe from containerd's garbage
 * collector until the lease is released; the collector runs within a second of any deletion.
 */
export class Leases {
  readonly #service: ServiceClient<typeof LeasesService>;

  constructor(service: ServiceClient<typeof LeasesService>) {
    this.#service = service;
  }

  /**
   * Makes a lease, or finds it made.
   * @param options.expireMs milliseconds after which the collector may ignore it, should nobody be left to release it
   */
  async acquire(id: string, options: { expireMs: number; labels?: Record<string, string> }): Promise<void> {
    const expire = new Date(Date.now() + options.expireMs).toISOString();
    const labels = { ...options.labels, [OWN_LABEL]: "true", [EXPIRE_LABEL]: expire };
    try {
      await this.#service.create({ id, labels });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }

  /** Deletes a lease, if there is one. With `sync` what it alone kept is gone when this returns. */
  async release(id: string, options: { sync?: boolean } = {}): Promise<void> {
    try {
      await this.#service.delete({ id, sync: options.sync ?? false });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** Ids of the leases that `acquire` made and that are still there. */
  async ids(): Promise<string[]> {
    const { leases } = await this.#service.list({});
    return leases.filter(({ labels }) => OWN_LABEL in labels).map(({ id }) => id);
  }
}
