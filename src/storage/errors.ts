// What can go wrong when a container gets its volumes.
import { errorCode } from "../node/index.ts";

/** A volume that could not be set up. The message names the volume, the path, and what was wanted and found. */
export class VolumeError extends Error {
  override readonly name = "VolumeError";
  readonly reason = "VolumeSetupFailed";
  /** The volume's name in the spec, or the path of an image's VOLUME. */
  readonly volume: string;

  constructor(volume: string, message: string, options?: ErrorOptions) {
    super(`volume ${volume}: ${message}`, options);
    this.volume = volume;
  }
}

const CAUSES: Record<string, string> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the filesystem is read-only",
  EACCES: "permission denied",
  EPERM: "not permitted",
  ENOTDIR: "a part of the path is not a directory",
};

/** Runs one volume's set-up; what the system says about a path becomes a VolumeError. */
export async function forVolume<T>(volume: string, path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof VolumeError) throw error;
    const words = error instanceof Error ? error.message : String(error);
    throw new VolumeError(volume, `${path}: ${CAUSES[errorCode(error) ?? ""] ?? words}`, { cause: error });
  }
}
