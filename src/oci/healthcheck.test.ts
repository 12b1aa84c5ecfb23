import { describe, expect, it } from "@jest/globals";
import { type ContainerSpec, withDefaults } from "../api/index.ts";
import { SpecError } from "./errors.ts";
import { healthcheckOf, type ImageCheck } from "./healthcheck.ts";

const SECOND = 1e9;
const IMAGE: ImageCheck = {
  healthcheck: {
    Test: ["CMD-SHELL", "curl -f localhost"],
    Interval: 5 * SECOND,
    Timeout: 2 * SECOND,
    StartPeriod: 60 * SECOND,
    StartInterval: SECOND,
    Retries: 7,
  },
};

const check = (healthcheck: ContainerSpec["healthcheck"], image: ImageCheck = {}, more: Partial<ContainerSpec> = {}) =>
  healthcheckOf(
    withDefaults({ nodeName: "node-1", image: "x", ...more, ...(healthcheck === undefined ? {} : { healthcheck }) }),
    image,
  );
const exec = (...command: string[]) => ({ exec: { command } });

describe("the check of a container", () => {
  it("has Docker's defaults", () => {
    expect(check(exec("true"))).toEqual({
      probe: { kind: "exec", args: ["true"] },
      intervalMs: 30_000,
      timeoutMs: 30_000,
      startPeriodMs: 0,
      startIntervalMs: 5000,
      retries: 3,
      onUnhealthy: "None",
    });
  });

  it("is the image's where the spec has none", () => {
    expect(check(undefined, IMAGE)).toEqual({
      probe: { kind: "exec", args: ["/bin/sh", "-c", "curl -f localhost"] },
      intervalMs: 5000,
      timeoutMs: 2000,
      startPeriodMs: 60_000,
      startIntervalMs: 1000,
      retries: 7,
      onUnhealthy: "None",
    });
  });

  it("is the spec's, field by field, over the image's", () => {
    expect(check({ interval: "1s", startPeriod: "0", onUnhealthy: "Restart" }, IMAGE)).toMatchObject({
      probe: { args: ["/bin/sh", "-c", "curl -f localhost"] },
      intervalMs: 1000,
      timeoutMs: 2000,
      startPeriodMs: 0,
      retries: 7,
      onUnhealthy: "Restart",
    });
    expect(check({ ...exec("true"), retries: 1, startInterval: "2s" }, IMAGE)).toMatchObject({
      probe: { args: ["true"] },
      retries: 1,
      startIntervalMs: 2000,
    });
  });

  it.each<[string, string[] | undefined, object | undefined]>([
    ["CMD", ["CMD", "curl", "-f"], { kind: "exec", args: ["curl", "-f"] }],
    ["NONE", ["NONE"], undefined],
    ["an empty one", [], undefined],
    ["none", undefined, undefined],
    ["an unknown form", ["HTTP", "x"], undefined],
  ])("is known by the image's forms: %s", (_, Test, probe) => {
    expect(check(undefined, { healthcheck: Test === undefined ? {} : { Test } })?.probe).toEqual(probe);
  });

  it("is run by the image's SHELL", () => {
    expect(check(undefined, { ...IMAGE, shell: ["/bin/ash", "-ec"] })?.probe).toMatchObject({
      args: ["/bin/ash", "-ec", "curl -f localhost"],
    });
  });

  it("is turned off by NONE", () => {
    expect(check(exec("NONE"), IMAGE)).toBeUndefined();
    expect(check(undefined)).toBeUndefined();
    expect(check({})).toBeUndefined();
  });

  it("finds a port by its name", () => {
    const ports = [{ name: "web", containerPort: 8080 }];
    const found = check({ httpGet: { port: "web", path: "/up", scheme: "HTTPS" } }, {}, { ports });
    expect(found?.probe).toEqual({ kind: "http", scheme: "HTTPS", port: 8080, path: "/up", headers: [] });
    expect(check({ tcpSocket: { port: "81", host: "example.com" } })?.probe).toEqual({
      kind: "tcp",
      port: 81,
      host: "example.com",
    });
  });

  it.each<[string, ContainerSpec["healthcheck"], Partial<ContainerSpec>]>([
    ['spec.healthcheck.httpGet.port: "web"', { httpGet: { port: "web" } }, {}],
    [
      "spec.healthcheck.tcpSocket: the container has no address",
      { tcpSocket: { port: 1 } },
      { network: { mode: "None" } },
    ],
    ["spec.healthcheck: says nothing to check", { onUnhealthy: "Restart" }, {}],
    ["spec.healthcheck: says nothing to check", { interval: "1s" }, {}],
  ])("is refused where it can't be made: %s", (message, healthcheck, more) => {
    const refused = (): unknown => check(healthcheck, {}, more);
    expect(refused).toThrow(SpecError);
    expect(refused).toThrow(message);
  });

  it("may ask another host without a network", () => {
    const network = { mode: "None" } as const;
    expect(check({ tcpSocket: { port: 1, host: "127.0.0.1" } }, {}, { network })).toBeDefined();
  });
});
