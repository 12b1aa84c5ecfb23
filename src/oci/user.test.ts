import { describe, expect, it } from "@jest/globals";
import { resolveUser, type UserWish } from "./user.ts";

const files = {
  passwd: [
    "# comment",
    "root:x:0:0:root:/root:/bin/sh",
    "",
    "web:x:1000:1001:Web:/home/web:/bin/sh",
    "web:x:2000:2000:a second one:/x:/bin/sh",
    "1234:x:77:78:a number for a name:/n:/bin/sh",
    "broken:x:many::/b:/bin/sh",
  ].join("\n"),
  group: "root:x:0:\nwheel:x:10:root,web\nwww:x:33:web\nother:x:44:webmaster\n",
};
const resolve = (wish: UserWish) => {
  const { uid, gid, additionalGids } = resolveUser(wish, files);
  return [uid, gid, additionalGids];
};

describe("resolveUser", () => {
  it.each([
    ["", [0, 0, [0, 10]]],
    ["root", [0, 0, [0, 10]]],
    ["web", [1000, 1001, [1001, 10, 33]]],
    ["1000", [1000, 1001, [1001, 10, 33]]],
    // An explicit group leaves the memberships out.
    ["web:www", [1000, 33, [33]]],
    ["web:55", [1000, 55, [55]]],
    ["1000:www", [1000, 33, [33]]],
    ["5:7", [5, 7, [7]]],
    // A number that nobody has: group 0, as in Docker.
    ["5", [5, 0, [0]]],
    // A number is never a name.
    ["1234", [1234, 0, [0]]],
    [":www", [0, 33, [33]]],
    // What should be a number and is none counts as 0.
    ["broken", [0, 0, [0]]],
  ])("user %j", (user, expected) => {
    expect(resolve({ user })).toEqual(expected);
    expect(resolve({ imageUser: user })).toEqual(expected);
  });

  it("takes the spec's user rather than the image's, and runAsUser rather than both", () => {
    expect(resolve({ user: "web", imageUser: "nobody" })[0]).toBe(1000);
    expect(resolve({ runAsUser: 0, imageUser: "nobody" })[0]).toBe(0);
  });

  it("keeps the memberships beside runAsGroup, and adds supplementalGroups once", () => {
    expect(resolve({ runAsUser: 1000, runAsGroup: 5, supplementalGroups: [33, 6] })).toEqual([1000, 5, [5, 10, 33, 6]]);
    expect(resolve({ imageUser: "web", runAsGroup: 5 })).toEqual([1000, 5, [5, 10, 33]]);
  });

  it("tells name and home of a known user", () => {
    expect(resolveUser({ user: "1000" }, files)).toMatchObject({ name: "web", home: "/home/web" });
    expect(resolveUser({ user: "5" }, files)).not.toHaveProperty("name");
  });

  it("needs no files for numbers", () => {
    expect(resolveUser({ user: "1:2" }, {})).toEqual({ uid: 1, gid: 2, additionalGids: [2] });
  });

  it.each<[UserWish, string]>([
    [{ user: "foo" }, "spec.user: unable to find user foo: no matching entries in passwd file"],
    [{ imageUser: "foo" }, "spec.image: unable to find user foo: no matching entries in passwd file"],
    [{ user: "web:foo" }, "spec.user: unable to find group foo: no matching entries in group file"],
    [{ user: "-1" }, "spec.user: uids and gids must be in range 0-2147483647, not -1"],
    [{ user: "2147483648" }, "spec.user: uids and gids must be in range"],
    [{ runAsUser: 1.5 }, "spec.securityContext.runAsUser: uids and gids must be in range"],
    [{ runAsUser: 1, supplementalGroups: [1, -1] }, "spec.securityContext.supplementalGroups[1]: uids and gids"],
  ])("%j is refused", (wish, message) => {
    expect(() => resolveUser(wish, files)).toThrow(message);
  });

  it("refuses root where runAsNonRoot forbids it, by whatever name", () => {
    for (const wish of [{}, { imageUser: "root" }, { user: "broken" }, { runAsUser: 0 }]) {
      expect(() => resolveUser({ ...wish, runAsNonRoot: true }, files)).toThrow(
        /^spec\.securityContext\.runAsNonRoot: .*root \(uid 0\)/,
      );
    }
    expect(resolve({ imageUser: "web", runAsNonRoot: true })[0]).toBe(1000);
  });
});
