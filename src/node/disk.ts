// How full the filesystems are, and which errors say that one is.
import { stat, statfs } from "node:fs/promises";
import { errorCode } from "./errno.ts";

/** How full the filesystem of a path is. */
export interface DiskUse {
  readonly path: string;
  /** By which paths on one filesystem are known. */
  readonly device: number;
  /** Bytes that can still be written, and bytes in all. */
  readonly available: number;
  readonly total: number;
  /** Files that can still be made; Infinity where the filesystem has no bound. */
  readonly files: number;
  /** Percent that is not available any more, of bytes or of files, whichever are scarcer. */
  readonly percent: number;
}

/** Measures the filesystem of a path. */
export async function diskUse(path: string): Promise<DiskUse> {
  const [{ bsize, blocks, bavail, files, ffree }, { dev }] = await Promise.all([statfs(path), stat(path)]);
  const bytes = percentUsed(bavail, blocks);
  return {
    path,
    device: dev,
    available: bavail * bsize,
    total: blocks * bsize,
    files: files === 0 ? Infinity : ffree,
    percent: files === 0 ? bytes : Math.max(bytes, percentUsed(ffree, files)),
  };
}

/** As the kubelet counts: what is reserved for root is used. */
function percentUsed(available: number, total: number): number {
  return total === 0 ? 0 : 100 - Math.floor((available * 100) / total);
}

/** For a person: `the disk of /var/log/berth has 12 KiB of 9.8 GiB left`. */
export function describeDisk({ path, available, total, files }: Omit<DiskUse, "device">): string {
  const noFiles = files === 0 ? ", and no file can be made" : "";
  return `the disk of ${path} has ${formatBytes(available)} of ${formatBytes(total)} left${noFiles}`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** For a person: `9.8 GiB`. */
export function formatBytes(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  const value = bytes / 2 ** (10 * power);
  return `${power === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${UNITS[power] ?? ""}`;
}

/** Whether an error, or what caused it, says that a disk is full. Other programs (containerd, runc, CNI plugins) say it in words. */
export function isDiskFull(error: unknown): boolean {
  const code = errorCode(error);
  if (code === "ENOSPC" || code === "EDQUOT") return true;
  if (!(error instanceof Error)) return false;
  return /no space left on device|disk quota exceeded/i.test(error.message) || isDiskFull(error.cause);
}

/** Whether an error, or what caused it, says that this process, or the node, can open no more files. */
export function hasTooManyFiles(error: unknown): boolean {
  const code = errorCode(error);
  if (code === "EMFILE" || code === "ENFILE") return true;
  return error instanceof Error && hasTooManyFiles(error.cause);
}
