import { describe, expect, it } from "@jest/globals";
import { chainID, parseImageConfiguration } from "./image-config.ts";

describe("chainID", () => {
  // Made with sha256sum, by the formula of the OCI image specification.
  const layers = [
    "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    "sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
    "sha256:2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6",
  ];

  it("is the diff id for one layer", () => {
    expect(chainID(layers.slice(0, 1))).toBe(layers[0]);
  });

  it("chains each further layer", () => {
    expect(chainID(layers.slice(0, 2))).toBe("sha256:51c0c8ace48498d6f5fee6b0592cc06f2da0f3cbe09c5a34a97dce85c3889676");
    expect(chainID(layers)).toBe("sha256:2fce7f8ce91bcf0a1428b36e1024639fdbd9469eea762dba98aa749631885106");
  });

  it("is empty without layers, as the parent of an empty snapshot is", () => {
    expect(chainID([])).toBe("");
  });
});

describe("parseImageConfiguration", () => {
  it("leaves out what is null or of another type than the specification's", () => {
    const parsed = parseImageConfiguration({
      os: "linux",
      architecture: "amd64",
      rootfs: { type: "layers", diff_ids: ["sha256:1"] },
      config: {
        Entrypoint: null,
        Cmd: ["sh"],
        Env: ["A=b", 3],
        User: 0,
        Volumes: { "/data": {} },
        ExposedPorts: ["80/tcp"],
        Labels: { a: "b" },
        Healthcheck: { Test: ["CMD", "true"], Interval: 1_000_000_000, Retries: "3" },
        Unknown: true,
      },
    });
    expect(parsed).toEqual({
      os: "linux",
      architecture: "amd64",
      diffIDs: ["sha256:1"],
      config: {
        Cmd: ["sh"],
        Volumes: { "/data": {} },
        Labels: { a: "b" },
        Healthcheck: { Test: ["CMD", "true"], Interval: 1_000_000_000 },
      },
    });
  });

  it("survives a blob that is no configuration", () => {
    expect(parseImageConfiguration(null)).toEqual({ os: undefined, architecture: undefined, diffIDs: [], config: {} });
  });
});
