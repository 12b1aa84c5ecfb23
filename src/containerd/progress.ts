import type { Progress } from "./proto/transfer_types_pb.ts";

/** How far a pull is, over everything known so far of the image. */
export interface PullProgress {
  /** Bytes fetched, or here already. */
  readonly bytes: number;
  /** Of these, the bytes fetched. */
  readonly fetched: number;
  /** Bytes in all; grows while the manifest is not yet read. */
  readonly total: number;
  readonly layers: number;
  /** Layers that are here. */
  readonly done: number;
}

/** Events after which a blob's bytes are all here. containerd 2.2 and later go on with extracting. */
const HERE = new Set(["complete", "already exists", "extracting", "extracted"]);
/** `layer-sha256:…`, `manifest-<name>@sha256:…`: a blob, not the image's name or a sentence about the whole. */
const BLOB = /^(layer|manifest|index|config|attestation|unknown)-.*[a-z0-9]+:[a-f0-9]{32,}$/;

/** Adds up the messages of a progress stream, each of which tells of one blob. */
export class ProgressSum {
  readonly #blobs = new Map<
    string,
    { bytes: number; total: number; layer: boolean; here: boolean; existed: boolean }
  >();

  /** Takes a message in; true when it tells of a blob. */
  add(message: Pick<Progress, "event" | "name" | "progress" | "total">): boolean {
    const [, kind] = BLOB.exec(message.name) ?? [];
    if (kind === undefined) return false;
    const before = this.#blobs.get(message.name);
    const here = before?.here === true || HERE.has(message.event);
    const total = Math.max(Number(message.total), before?.total ?? 0);
    const bytes = here ? total : Math.max(Number(message.progress), before?.bytes ?? 0);
    const existed = before?.existed === true || message.event === "already exists";
    this.#blobs.set(message.name, { bytes, total, layer: kind === "layer", here, existed });
    return true;
  }

  get current(): PullProgress {
    const sum = { bytes: 0, fetched: 0, total: 0, layers: 0, done: 0 };
    for (const blob of this.#blobs.values()) {
      sum.bytes += blob.bytes;
      if (!blob.existed) sum.fetched += blob.bytes;
      sum.total += blob.total;
      if (blob.layer) sum.layers += 1;
      if (blob.layer && blob.here) sum.done += 1;
    }
    return sum;
  }
}
