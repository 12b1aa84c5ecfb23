import { describe, expect, it } from "@jest/globals";
import { pino } from "pino";
import type { Neighbour } from "./neighbour.ts";
import { Neighbours } from "./neighbours.ts";

const named = (name: string, more: Partial<Neighbour> = {}): Neighbour => ({
  id: `id-${name}`,
  running: true,
  namespace: "shop",
  name,
  hostname: name,
  network: "",
  addresses: [`10.0.0.${String(name.charCodeAt(0))}`],
  ports: [],
  links: [],
  ...more,
});

/** An index with the files it writes, and what it has looked at again. */
function open(onWrite: (id: string) => Promise<void> = () => Promise.resolve()) {
  const files = new Map<string, string>();
  const writes: string[] = [];
  const woken: string[] = [];
  const busy = { is: false };
  const neighbours = new Neighbours({
    requeue: (key) => woken.push(key),
    writeBlock: async (id, block) => {
      await onWrite(id);
      writes.push(id);
      files.set(id, block);
    },
    isBusy: () => busy.is,
    logger: pino({ level: "silent" }),
  });
  const names = (id: string) =>
    (files.get(id) ?? "")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => line.split("\t")[1]);
  return { neighbours, writes, woken, names, busy };
}

/** Waits for a pass that nobody is told of. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe("hosts files", () => {
  it("are written for those whose names have changed, and only when something has", async () => {
    const { neighbours, writes, names } = open();
    await neighbours.note("shop/a", named("a"));
    await neighbours.note("shop/b", named("b"));
    expect([names("id-a"), names("id-b")]).toEqual([["b"], ["a"]]);
    const before = writes.length;
    await neighbours.note("shop/b", named("b"));
    await neighbours.note("shop/b", named("b", { running: false, since: "later" }));
    await neighbours.note("shop/n", named("n", { namespace: "other" }));
    await neighbours.note("shop/m", named("m", { network: "lan" }));
    expect(writes.slice(before).filter((id) => id === "id-a" || id === "id-b")).toEqual([]);
    await neighbours.forget("shop/b");
    expect(names("id-a")).toEqual([]);
  });

  it("are written together for those that come while there is much to do, or as soon as there is not", async () => {
    const { neighbours, writes, names, busy } = open();
    busy.is = true;
    for (const name of ["a", "b", "c"]) await neighbours.note(`shop/${name}`, named(name));
    expect(writes).toEqual([]);
    busy.is = false;
    await neighbours.note("shop/d", named("d"));
    expect(writes.toSorted()).toEqual(["id-a", "id-b", "id-c", "id-d"]);
    expect(names("id-d")).toEqual(["a", "b", "c"]);
    busy.is = true;
    await neighbours.note("shop/e", named("e"));
    await until(() => names("id-a").includes("e"));
  });

  it("give a host name to the container that is called so, and to the first of those that claim it", async () => {
    const { neighbours, names } = open();
    await neighbours.note("shop/a", named("a", { hostname: "z" }));
    await neighbours.note("shop/b", named("b", { hostname: "z" }));
    await neighbours.note("shop/c", named("c", { hostname: "a" }));
    await neighbours.note("shop/d", named("d"));
    expect(names("id-d")).toEqual(["a z", "b", "c"]);
    // Its own name, where its host name is another.
    expect(names("id-c")).toEqual(["a z", "b", "c", "d"]);
  });

  it("begin with links, which follow the address of the one they lead to", async () => {
    const { neighbours, names } = open();
    await neighbours.note("shop/a", named("a", { links: [{ key: "shop/b", alias: "db" }] }));
    await neighbours.note("shop/b", named("b", { hostname: "h" }));
    expect(names("id-a")).toEqual(["db h b", "b h"]);
    await neighbours.note("shop/b", named("b", { hostname: "h", addresses: [] }));
    expect(names("id-a")).toEqual([]);
  });

  it("are left to a start that writes them, and brought up to date after it", async () => {
    const { neighbours, writes, names } = open();
    await neighbours.note("shop/a", named("a"));
    const self = named("b");
    await neighbours.writing(self, async (block) => {
      expect(block).toContain("\ta\n");
      await neighbours.note("shop/b", self);
      await neighbours.note("shop/c", named("c"));
      expect(writes).not.toContain("id-b");
    });
    await neighbours.note("shop/d", named("d"));
    expect(names("id-b")).toEqual(["a", "c", "d"]);
  });

  it("share a pass when many come at once; one that can't be written is tried again with the next", async () => {
    let broken = true;
    const { neighbours, writes, names } = open((id) =>
      broken && id === "id-b" ? Promise.reject(new Error("no space")) : Promise.resolve(),
    );
    const all = "a b c d e f g h i j".split(" ").map((name) => named(name));
    await Promise.all(all.map((each) => neighbours.note(`shop/${each.name}`, each)));
    expect(writes.length).toBeLessThanOrEqual(2 * all.length);
    expect(names("id-a")).toEqual("b c d e f g h i j".split(" "));
    expect(names("id-b")).toEqual([]);
    broken = false;
    await neighbours.forget("shop/j");
    expect(names("id-b")).toEqual("a c d e f g h i".split(" "));
  });
});

describe("needs", () => {
  it("have a key looked at again when one it needs has changed, comes or goes", async () => {
    const { neighbours, woken } = open();
    neighbours.need("shop/a", ["shop/b"]);
    await neighbours.note("shop/b", named("b", { running: false }));
    await neighbours.note("shop/b", named("b"));
    await neighbours.note("shop/b", named("b"));
    expect(woken).toEqual(["shop/a", "shop/a"]);
    await neighbours.forget("shop/b");
    expect(woken.length).toBeGreaterThan(2);
    const before = woken.length;
    neighbours.need("shop/a", []);
    await neighbours.note("shop/b", named("b"));
    expect(woken).toHaveLength(before);
  });

  it("that lead back are a circle, unless one on the way runs", async () => {
    const { neighbours, woken } = open();
    neighbours.need("shop/a", ["shop/x", "shop/b"]);
    neighbours.need("shop/b", ["shop/c"]);
    expect(neighbours.circle("shop/a")).toBeUndefined();
    neighbours.need("shop/c", ["shop/a"]);
    // Those that lead to the one whose needs are new learn of it, by however many steps.
    expect(woken.slice(-2).sort()).toEqual(["shop/a", "shop/b"]);
    expect(neighbours.circle("shop/a")).toEqual(["shop/a", "shop/b", "shop/c", "shop/a"]);
    expect(neighbours.circle("shop/x")).toBeUndefined();
    await neighbours.note("shop/c", named("c"));
    expect(neighbours.circle("shop/a")).toBeUndefined();
  });
});
