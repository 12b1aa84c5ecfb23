import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "@jest/globals";
import { ContainerdError, ImagePullError } from "./errors.ts";
import { pullError } from "./pull-error.ts";

const NAME = "example.com/app:v1";
const HEAD = `failed to resolve image: failed to do request: Head "https://example.com/v2/app/manifests/v1"`;

describe("pullError", () => {
  // Texts as containerd 1.7.24 and 2.1.9 gave them.
  it.each([
    ["NotFound", status.NOT_FOUND, `failed to resolve image: ${NAME}: not found`],
    [
      "Unauthorized",
      status.UNKNOWN,
      "failed to resolve image: unexpected status from HEAD request to https://example.com/v2/app/manifests/v1: 401 Unauthorized",
    ],
    [
      "Unauthorized",
      status.NOT_FOUND,
      "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
    ],
    ["Unreachable", status.UNKNOWN, `${HEAD}: dial tcp 127.0.0.1:1: connect: connection refused`],
    ["Unreachable", status.UNKNOWN, `${HEAD}: dial tcp: lookup example.com on 127.0.0.53:53: no such host`],
    ["Unreachable", status.UNKNOWN, `${HEAD}: http: server gave HTTP response to HTTPS client`],
    [
      "Unreachable",
      status.UNKNOWN,
      `${HEAD}: tls: failed to verify certificate: x509: certificate signed by unknown authority`,
    ],
    [
      "Unreachable",
      status.UNAVAILABLE,
      "failed to resolve image: unexpected status from HEAD request: 503 Service Unavailable",
    ],
    ["Other", status.INVALID_ARGUMENT, "schema 1 image manifests are no longer supported: invalid argument"],
    ["Other", status.UNKNOWN, "write /var/lib/containerd/x: no space left on device"],
  ])("tells %s from code %d and the text", (kind, code, details) => {
    const error = pullError(NAME, new ContainerdError("Transfer.Transfer", code, details));
    expect(error).toBeInstanceOf(ImagePullError);
    expect(error).toMatchObject({ kind, message: `image "${NAME}": ${details}` });
  });

  it("does not blame the image when containerd is away", () => {
    const away = new ContainerdError("Transfer.Transfer", status.UNAVAILABLE, "Connection dropped");
    expect(pullError(NAME, away)).toBe(away);
  });

  it("leaves other errors alone", () => {
    const bug = new TypeError("x is not a function");
    expect(pullError(NAME, bug)).toBe(bug);
  });
});
