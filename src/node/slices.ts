// cgroups that systemd manages: slices, and scopes in them.
import { basename, join } from "node:path";
import { run } from "./run.ts";

const SUFFIX = ".slice";

/** Whether a cgroup, by its path, is one of systemd's slices. */
export function isSlice(path: string): boolean {
  return path.endsWith(SUFFIX);
}

/** The path of a slice by its unit's name: `a-b.slice` lies in `a.slice` (systemd.slice(5)). */
export function slicePath(unit: string): string {
  const names = unit.slice(0, -SUFFIX.length).split("-");
  return join("/", ...names.map((_, index) => `${names.slice(0, index + 1).join("-")}${SUFFIX}`));
}

/** The unit of a slice below another one, named by a relative path: `a/b` below `berth.slice` is `berth-a-b.slice`. */
export function sliceBelow(slice: string, relative: string): string {
  const names = [basename(slice, SUFFIX), ...relative.split("/").filter((name) => name !== "")];
  return `${names.join("-")}${SUFFIX}`;
}

/**
 * The path of the cgroup that a runtime spec's `cgroupsPath` stands for, be it a path already or in runc's form for systemd,
 * `slice:prefix:name`.
 */
export function cgroupPathOf(cgroupsPath: string): string {
  if (cgroupsPath.startsWith("/")) return cgroupsPath;
  const [slice = "", prefix = "", name = ""] = cgroupsPath.split(":");
  return join(slicePath(slice), scopeName(prefix, name));
}

/** The unit that runc makes for a container under systemd. */
export function scopeName(prefix: string, name: string): string {
  return `${prefix}-${name}.scope`;
}

/**
 * Sets a property of a slice until the next boot; the slice is made, if there is none. What is written into the files of a
 * slice past systemd would not last.
 * @throws CommandError
 */
export async function setSliceProperty(path: string, property: string): Promise<void> {
  const unit = basename(path);
  await run("systemctl", ["start", unit]);
  await run("systemctl", ["set-property", "--runtime", unit, property]);
}
