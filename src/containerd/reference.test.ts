import { describe, expect, it } from "@jest/globals";
import { ImagePullError } from "./errors.ts";
import { parseReference } from "./reference.ts";

const SHA = `sha256:${"a".repeat(64)}`;

describe("parseReference", () => {
  it.each([
    ["busybox", "docker.io/library/busybox:latest"],
    ["busybox:1.36", "docker.io/library/busybox:1.36"],
    ["team/app", "docker.io/team/app:latest"],
    ["docker.io/busybox", "docker.io/library/busybox:latest"],
    ["index.docker.io/busybox", "docker.io/library/busybox:latest"],
    ["localhost/app", "localhost/app:latest"],
    ["localhost:5000/app", "localhost:5000/app:latest"],
    ["127.0.0.1:5000/a/b/c:v1", "127.0.0.1:5000/a/b/c:v1"],
    ["[::1]:5000/app", "[::1]:5000/app:latest"],
    ["Registry/app", "Registry/app:latest"],
    ["example.com/a__b/c-d.e", "example.com/a__b/c-d.e:latest"],
    [`busybox@${SHA}`, `docker.io/library/busybox@${SHA}`],
    ["busybox:5000", "docker.io/library/busybox:5000"],
  ])("completes %s", (reference, canonical) => {
    expect(parseReference(reference).canonical).toBe(canonical);
  });

  it("lets the digest decide when a tag stands beside it", () => {
    const reference = parseReference(`example.com:443/app:v1@${SHA}`);
    expect(reference).toEqual({
      domain: "example.com:443",
      path: "app",
      digest: SHA,
      canonical: `example.com:443/app@${SHA}`,
    });
  });

  it.each([
    ["", /empty/],
    [`@${SHA}`, /empty/],
    ["Busybox", /lowercase/],
    ["example.com/Team/app", /lowercase/],
    ["busybox:", /tag ""/],
    ["busybox:-x", /tag "-x"/],
    [`busybox:${"x".repeat(129)}`, /at most 128/],
    ["busybox@sha256:abc", /64 lowercase/],
    [`busybox@sha256:${"A".repeat(64)}`, /64 lowercase/],
    [`busybox@md5:${"a".repeat(32)}`, /must begin with sha256/],
    [`busybox@constructor:${"a".repeat(64)}`, /must begin with sha256/],
    [`busybox@${SHA}@${SHA}`, /more than one/],
    ["a..b", /lowercase/],
    ["a//b", /lowercase/],
    ["busybox/", /lowercase/],
    ["-host.example.com/app", /host name/],
    ["example.com:port/app", /host name/],
    ["https://example.com/app", /host name/],
    [" busybox", /lowercase/],
    ["a".repeat(250), /longer than 255/],
  ])("refuses %j", (reference, message) => {
    expect(() => parseReference(reference)).toThrow(message);
    expect(() => parseReference(reference)).toThrow(expect.objectContaining({ kind: "InvalidName" }));
    expect(() => parseReference(reference)).toThrow(ImagePullError);
  });
});
