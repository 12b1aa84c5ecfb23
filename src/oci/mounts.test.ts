import { describe, expect, it } from "@jest/globals";
import { mountList, rootfsPropagation } from "./mounts.ts";
import type { OciMount } from "./types.ts";

const WISH = { shmSize: 1024, hostIPC: false, privileged: false };
const bind = (destination: string, ...options: string[]): OciMount => ({
  destination,
  type: "bind",
  source: "/src",
  options: ["rbind", ...options],
});
const destinations = (...mounts: OciMount[]) => mountList(WISH, mounts).map(({ destination }) => destination);

describe("mountList", () => {
  it("puts a mount after those it is below, and otherwise keeps the order", () => {
    expect(destinations(bind("/a/b/c"), bind("/z"), bind("/a"), bind("/a/b/")).slice(-4)).toEqual([
      "/z",
      "/a",
      "/a/b/",
      "/a/b/c",
    ]);
  });

  it("replaces Docker's mount of the same destination", () => {
    const list = mountList(WISH, [bind("/dev/shm")]).filter(({ destination }) => destination === "/dev/shm");
    expect(list).toEqual([bind("/dev/shm")]);
  });

  it("has nothing of Docker's below a /dev of the user's", () => {
    expect(destinations(bind("/dev"))).toEqual(["/proc", "/sys", "/sys/fs/cgroup", "/dev"]);
  });

  it("shares the node's /dev/shm with its IPC namespace", () => {
    const shm = mountList({ ...WISH, hostIPC: true }, []).find(({ destination }) => destination === "/dev/shm");
    expect(shm).toEqual({ destination: "/dev/shm", type: "bind", source: "/dev/shm", options: ["rbind", "rprivate"] });
  });

  it("lets only a privileged container write to /sys and its cgroups", () => {
    const readOnly = (privileged: boolean) =>
      mountList({ ...WISH, privileged }, [])
        .filter(({ options = [] }) => options.includes("ro"))
        .map(({ destination }) => destination);
    expect(readOnly(false)).toEqual(["/sys", "/sys/fs/cgroup"]);
    expect(readOnly(true)).toEqual([]);
  });
});

it.each([
  [["rprivate"], undefined],
  [["rslave"], "rslave"],
  [["rslave", "rshared"], "shared"],
])("mounts that are %j make the root filesystem %s", (propagations, expected) => {
  expect(rootfsPropagation(propagations.map((propagation) => bind("/a", propagation)))).toBe(expected);
});
