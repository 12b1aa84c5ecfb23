import { describe, expect, it } from "@jest/globals";
import { object } from "./fake-server.test-support.ts";
import { ObjectCache } from "./object-cache.ts";

describe("ObjectCache", () => {
  function filled(): ObjectCache<ReturnType<typeof object>> {
    const cache = new ObjectCache();
    cache.replace([object("a", 10)]);
    return cache;
  }

  it("shows an own write at once, and does not call it news when the watch brings it", () => {
    const cache = filled();
    cache.put(object("a", 12));
    cache.put(object("a", 14));
    expect(cache.get("ns/a")?.metadata.resourceVersion).toBe("14");
    expect(cache.apply("MODIFIED", object("a", 12))).toBeUndefined();
    expect(cache.apply("MODIFIED", object("a", 14))).toBeUndefined();
    expect(cache.apply("MODIFIED", object("a", 15))).toMatchObject({ key: "ns/a" });
  });

  it("keeps and reports of each object what is asked for, however it comes", () => {
    const cache = new ObjectCache(
      () => true,
      ({ metadata }) => ({ metadata }),
    );
    const large = (version: number) => object("a", version, { spec: { large: true } });
    expect(cache.replace([large(1)])[0]?.object).toEqual(object("a", 1));
    expect(cache.apply("MODIFIED", large(2))?.object).toEqual(object("a", 2));
    cache.put(large(3));
    expect(cache.get("ns/a")).toEqual(object("a", 3));
  });

  it("reports someone's write that lies between, with the newer object", () => {
    const cache = filled();
    cache.put(object("a", 12));
    expect(cache.apply("MODIFIED", object("a", 11))?.object?.metadata.resourceVersion).toBe("12");
    expect(cache.get("ns/a")?.metadata.resourceVersion).toBe("12");
  });

  it("does not bring back by a late answer what is gone, or what has another uid", () => {
    const cache = filled();
    const recreated = { metadata: { ...object("a", 30).metadata, uid: "another" } };
    cache.apply("DELETED", object("a", 20));
    cache.put(object("a", 19));
    expect(cache.list()).toEqual([]);
    cache.apply("ADDED", recreated);
    cache.put(object("a", 31));
    expect(cache.get("ns/a")).toEqual(recreated);
    expect(cache.apply("DELETED", object("a", 20))).toBeUndefined();
    expect(cache.get("ns/a")).toEqual(recreated);
  });

  it("compares versions as numbers, however large", () => {
    const cache = new ObjectCache();
    cache.replace([object("a", 9)]);
    cache.put(object("a", 10));
    expect(cache.get("ns/a")?.metadata.resourceVersion).toBe("10");
    const huge = { metadata: { ...object("a", 0).metadata, resourceVersion: "90071992547409931" } };
    const larger = { metadata: { ...huge.metadata, resourceVersion: "90071992547409932" } };
    cache.put(huge);
    cache.put(larger);
    expect(cache.get("ns/a")).toEqual(larger);
  });

  it("keeps what was written while a list was under way, and only then", () => {
    const cache = filled();
    cache.beginList();
    cache.put(object("a", 20));
    expect(cache.replace([object("a", 10)])).toEqual([]);
    expect(cache.get("ns/a")?.metadata.resourceVersion).toBe("20");
    cache.beginList();
    expect(cache.replace([object("a", 5)])).toHaveLength(1);
    expect(cache.get("ns/a")?.metadata.resourceVersion).toBe("5");
  });
});
