import { describe, expect, it } from "@jest/globals";
import { SECURITY_CASES } from "../cases/pod-security.ts";
import type { Container, ContainerSpec } from "../types.ts";
import { CHECKS } from "./checks.ts";
import { admissionNeeded, ENFORCE, ENFORCE_VERSION, type PodSecurityPolicy, policyOf, violationOf } from "./policy.ts";

const specOf = (spec: object) => ({ nodeName: "node-1", image: "example.com/hello:1", ...spec }) as ContainerSpec;
const containerOf = (spec: object) =>
  ({ metadata: { name: "c", namespace: "default" }, spec: specOf(spec) }) as Container;
const parsed = (policy: string) => {
  const [level, version] = policy.split(":");
  return { level, version } as PodSecurityPolicy;
};

describe("violationOf", () => {
  it.each(SECURITY_CASES)("$policy: $name", ({ policy, spec, says }) => {
    const words = says === undefined ? undefined : `violates PodSecurity "${policy}": ${says}`;
    expect(violationOf(containerOf(spec), parsed(policy))).toBe(words);
  });

  it("allows everything where the level is privileged", () => {
    for (const { spec } of SECURITY_CASES)
      expect(violationOf(containerOf(spec), { level: "privileged", version: "latest" })).toBeUndefined();
  });

  it("has a case for every check", () => {
    const said = SECURITY_CASES.flatMap(({ policy, says = "" }) =>
      CHECKS.filter(({ level, reason }) => policy.startsWith(level) && says.includes(`${reason} (`)).map(
        ({ id }) => id,
      ),
    );
    expect(CHECKS.filter(({ id }) => !said.includes(id)).map(({ id }) => id)).toEqual([]);
  });
});

describe("policyOf", () => {
  it.each<[object | undefined, string]>([
    [undefined, "baseline:latest"],
    [{}, "baseline:latest"],
    [{ [ENFORCE]: "restricted" }, "restricted:latest"],
    [{ [ENFORCE]: "privileged", [ENFORCE_VERSION]: "v1.30" }, "privileged:v1.30"],
    [{ [ENFORCE_VERSION]: "v1.30" }, "baseline:v1.30"],
    [{ [ENFORCE]: "Baseline" }, "restricted:latest"],
    [{ [ENFORCE]: "" }, "restricted:latest"],
    [{ [ENFORCE]: "baseline", [ENFORCE_VERSION]: "1.30" }, "baseline:latest"],
    [{ [ENFORCE]: "baseline", [ENFORCE_VERSION]: "v1.030" }, "baseline:latest"],
    [{ "pod-security.kubernetes.io/warn": "restricted" }, "baseline:latest"],
  ])("%j is %s", (labels, expected) => {
    const { level, version } = policyOf(labels as Record<string, string> | undefined, "baseline");
    expect(`${level}:${version}`).toBe(expected);
  });
});

describe("admissionNeeded", () => {
  it.each<[string, object, object, boolean]>([
    ["nothing", {}, {}, false],
    ["a default that is written down", {}, { hostPID: false, network: { mode: "Bridge" } }, false],
    ["what changes in place", {}, { desiredState: "Stopped", resources: { limits: { memory: "1Gi" } } }, false],
    ["the image", {}, { image: "example.com/hello:2" }, true],
    ["a privilege", {}, { securityContext: { privileged: true } }, true],
    ["the host that the healthcheck asks", {}, { healthcheck: { tcpSocket: { port: 1, host: "db" } } }, true],
  ])("a change of %s", (_, admitted, wished, needed) => {
    expect(admissionNeeded(specOf(admitted), specOf(wished))).toBe(needed);
  });
});
