import { describe, expect, it } from "@jest/globals";
import { credentialsFor, type PullSecret } from "./credentials.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A secret as `kubectl create secret docker-registry` makes it; the password tells which entry it was. */
const secret = (name: string, ...places: string[]): PullSecret => {
  const auths = Object.fromEntries(places.map((place) => [place, { auth: base64(`user:${name} ${place}`) }]));
  return of({ ".dockerconfigjson": JSON.stringify({ auths }) }, name);
};

const of = (data: Record<string, string>, name = "pull"): PullSecret => ({
  metadata: { name },
  type: "kubernetes.io/dockerconfigjson",
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)])),
});

const password = (ref: string, ...secrets: PullSecret[]): string | undefined => credentialsFor(ref, secrets)?.password;

describe("an entry fits an image", () => {
  it.each([
    ["registry.example.com", "registry.example.com/team/app:1"],
    ["registry.example.com", "registry.example.com/app@sha256:00"],
    ["https://registry.example.com", "registry.example.com/app:1"],
    ["https://registry.example.com/", "registry.example.com/app:1"],
    ["http://registry.example.com/v2/", "registry.example.com/app:1"],
    ["registry.example.com:5000", "registry.example.com:5000/app:1"],
    ["registry.example.com/team", "registry.example.com/team/app:1"],
    ["registry.example.com/team/app", "registry.example.com/team/app:1"],
    ["*.example.com", "registry.example.com/app:1"],
    ["*.*.example.com", "a.b.example.com/app:1"],
    ["https://index.docker.io/v1/", "docker.io/library/busybox:latest"],
    ["index.docker.io", "docker.io/library/busybox:latest"],
    ["docker.io/library", "docker.io/library/busybox:latest"],
  ])("%s: %s", (place, ref) => {
    expect(password(ref, secret("pull", place))).toBe(`pull ${place}`);
  });

  it.each([
    ["registry.example.com", "other.example.com/app:1"],
    ["registry.example.com", "registry.example.com:5000/app:1"],
    ["registry.example.com/team", "registry.example.com/teams/app:1"],
    ["registry.example.com/team", "registry.example.com/app:1"],
    ["example.com", "registry.example.com/app:1"],
    ["*.example.com", "a.b.example.com/app:1"],
    ["registry.example.com", "docker.io/registry.example.com/app:1"],
    ["https://index.docker.io/v1/", "registry.example.com/docker.io/app:1"],
  ])("not: %s: %s", (place, ref) => {
    expect(credentialsFor(ref, [secret("pull", place)])).toBeUndefined();
  });
});

describe("of several entries", () => {
  const ref = "registry.example.com/team/app:1";

  it("the most specific counts, in whichever secret it is", () => {
    const general = secret("general", "registry.example.com");
    const specific = secret("specific", "registry.example.com/other", "registry.example.com/team");
    expect(password(ref, general, specific)).toBe("specific registry.example.com/team");
    expect(password(ref, specific, general)).toBe("specific registry.example.com/team");
  });

  it("the first secret's counts among equals", () => {
    expect(password(ref, secret("a", "registry.example.com"), secret("b", "registry.example.com"))).toMatch(/^a /);
  });

  it("there is none without a secret", () => {
    expect(credentialsFor(ref, [])).toBeUndefined();
  });
});

describe("an entry's content", () => {
  const ref = "registry.example.com/app:1";
  const entry = (content: object): PullSecret =>
    of({ ".dockerconfigjson": JSON.stringify({ auths: { "registry.example.com": content } }) });

  it("is user name and password, or both in one", () => {
    const wanted = { username: "user", password: "pass:word" };
    expect(credentialsFor(ref, [entry({ username: "user", password: "pass:word" })])).toEqual(wanted);
    expect(credentialsFor(ref, [entry({ auth: base64("user:pass:word") })])).toEqual(wanted);
  });

  it("is read from the old form, too", () => {
    const legacy = of({ ".dockercfg": JSON.stringify({ "registry.example.com": { auth: base64("user:old") } }) });
    expect(password(ref, legacy)).toBe("old");
  });

  it.each([
    [
      "no configuration",
      { ...of({}), type: "Opaque" },
      /secret "pull" of type "Opaque" has no key "\.dockerconfigjson"/,
    ],
    ["no JSON", of({ ".dockerconfigjson": "{" }), /secret "pull": .* is not JSON/],
    ["no user and password", entry({ auth: base64("nothing") }), /secret "pull": "auth" must be/],
    ["nothing", entry({}), /secret "pull": "auth" must be/],
  ])("is refused by the secret's name when it is %s", (_, bad, message) => {
    expect(() => credentialsFor(ref, [bad])).toThrow(message);
  });

  it("is of no concern when it is another registry's", () => {
    const other = of({ ".dockerconfigjson": JSON.stringify({ auths: { "other.example.com": {} } }) });
    expect(credentialsFor(ref, [other])).toBeUndefined();
  });
});
