// The policies' CEL, evaluated as an API server with ValidatingAdmissionPolicies would: what they deny is what the agent refuses.
import { parse as parseCEL } from "@marcbachmann/cel-js";
import { describe, expect, it } from "@jest/globals";
import { SECURITY_CASES } from "./cases/pod-security.ts";
import { withDefaults } from "./defaults.ts";
import { ENFORCE, ENFORCE_VERSION, violationOf, policyOf } from "./pod-security/policy.ts";
import { ownNodePolicies, podSecurityPolicies } from "./policies.ts";
import { celValue } from "./rules.ts";
import { asNode } from "./schema/node.ts";
import { containerSpec } from "./schema/spec.ts";
import type { Container } from "./types.ts";

type Named = { name: string; expression: string };
type Policy = {
  kind: "ValidatingAdmissionPolicy";
  metadata: { name: string };
  spec: {
    matchConstraints: { resourceRules: { operations: string[]; resources: string[] }[] };
    matchConditions: Named[];
    variables: Named[];
    validations: { expression: string; message?: string; messageExpression?: string }[];
  };
};
type Requirement = { key: string; operator: string; values?: string[] };
type Binding = {
  kind: "ValidatingAdmissionPolicyBinding";
  spec: { policyName: string; matchResources?: { namespaceSelector: { matchExpressions: Requirement[] } } };
};
type Request = {
  operation: "CREATE" | "UPDATE" | "DELETE";
  resource?: string;
  subResource?: string;
  object?: object | null;
  oldObject?: object | null;
  labels?: Record<string, string>;
  userInfo?: object;
};

/** What the policies answer: the words of the first denial; undefined when the request passes. */
function denial(manifests: object[], request: Request): string | undefined {
  const all = manifests as (Policy | Binding)[];
  const { operation, resource = "containers", subResource, labels = {} } = request;
  const bound = all
    .filter((one) => one.kind === "ValidatingAdmissionPolicyBinding")
    .filter(({ spec }) =>
      (spec.matchResources?.namespaceSelector.matchExpressions ?? []).every((wanted) => isMet(wanted, labels)),
    );
  const path = subResource === undefined ? resource : `${resource}/${subResource}`;
  const policies = all
    .filter((one) => one.kind === "ValidatingAdmissionPolicy")
    .filter(({ metadata }) => bound.some(({ spec }) => spec.policyName === metadata.name))
    .filter(({ spec }) =>
      spec.matchConstraints.resourceRules.some(
        (rule) => rule.operations.includes(operation) && rule.resources.includes(path),
      ),
    );
  for (const policy of policies) {
    const denied = evaluated(policy, request);
    if (denied !== undefined) return denied;
  }
  return undefined;
}

function isMet({ key, operator, values = [] }: Requirement, labels: Record<string, string>): boolean {
  const value = labels[key];
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    default:
      return value === undefined;
  }
}

function evaluated({ spec }: Policy, request: Request): string | undefined {
  const { operation, resource = "containers", object = null, oldObject = null, labels, userInfo = {} } = request;
  const variables: Record<string, unknown> = {};
  const context = {
    object,
    oldObject,
    variables,
    request: { operation, resource: { resource }, userInfo },
    namespaceObject: { metadata: labels === undefined ? {} : { labels } },
  };
  const value = (expression: string): unknown => parseCEL(expression)(context);
  if (!spec.matchConditions.every(({ expression }) => value(expression) === true)) return undefined;
  for (const { name, expression } of spec.variables) variables[name] = value(expression);
  const failed = spec.validations.find(({ expression }) => value(expression) !== true);
  if (failed === undefined) return undefined;
  return failed.messageExpression === undefined ? failed.message : String(value(failed.messageExpression));
}

/** A Container as the API server holds it. */
function stored(spec: object, more: object = {}): object {
  const complete = withDefaults({ nodeName: "node-1", image: "example.com/hello:1", ...spec });
  return { metadata: { name: "c" }, spec: celValue(asNode(containerSpec), complete), ...more };
}

describe("the policies for the Pod Security Standards", () => {
  const labelled = (policy: string): Record<string, string> => {
    const [level = "", version = ""] = policy.split(":");
    return { [ENFORCE]: level, ...(version === "latest" ? {} : { [ENFORCE_VERSION]: version }) };
  };
  const policies = podSecurityPolicies("privileged");

  it.each(SECURITY_CASES)("$policy: $name, as the agent", ({ policy, spec, says }) => {
    const labels = labelled(policy);
    const container = { metadata: { name: "c" }, spec: { nodeName: "node-1", image: "i", ...spec } } as Container;
    const answer = denial(policies, { operation: "CREATE", object: stored(spec), labels });
    expect(answer).toBe(violationOf(container, policyOf(labels, "privileged")));
    expect(answer === undefined).toBe(says === undefined);
  });

  const privileged = stored({ securityContext: { privileged: true } });
  const create = { operation: "CREATE", object: privileged } as const;

  it("hold where a label asks for them, or a label names no level", () => {
    expect(denial(policies, { ...create, labels: { [ENFORCE]: "privileged" } })).toBeUndefined();
    expect(denial(policies, { ...create, labels: {} })).toBeUndefined();
    expect(denial(policies, create)).toBeUndefined();
    expect(denial(policies, { ...create, labels: { [ENFORCE]: "none" } })).toMatch('"restricted:latest"');
    const odd = { [ENFORCE]: "baseline", [ENFORCE_VERSION]: "new" };
    expect(denial(policies, { ...create, labels: odd })).toMatch('"baseline:latest"');
  });

  it.each(["baseline", "restricted"] as const)("hold where there is no label, when %s is the default", (level) => {
    const withDefault = podSecurityPolicies(level);
    expect(denial(withDefault, { ...create, labels: { [ENFORCE_VERSION]: "v1.30" } })).toMatch(`"${level}:v1.30"`);
    expect(denial(withDefault, { ...create, labels: { [ENFORCE]: "privileged" } })).toBeUndefined();
  });

  it.each<[string, object, boolean]>([
    ["nothing", {}, false],
    ["what changes in place", { desiredState: "Stopped", stopSignal: "SIGINT" }, false],
    ["the image", { image: "example.com/hello:2" }, true],
    ["a field that was not there", { hostname: "h" }, true],
    ["the healthcheck", { healthcheck: { tcpSocket: { port: 1 } } }, true],
  ])("look at a change of %s as the agent does", (_, change, looked) => {
    const labels = { [ENFORCE]: "baseline" };
    const object = stored({ securityContext: { privileged: true }, ...change });
    const update = (before: object, after: object) =>
      denial(policies, { operation: "UPDATE", oldObject: before, object: after, labels }) !== undefined;
    expect(update(privileged, object)).toBe(looked);
    expect(update(object, privileged)).toBe(looked);
  });
});

describe("the policy of the own node", () => {
  const policies = ownNodePolicies("system:serviceaccount:berth-system:berth");
  const agent = (...nodes: string[]) => ({
    username: "system:serviceaccount:berth-system:berth",
    ...(nodes.length === 0 ? {} : { extra: { "authentication.kubernetes.io/node-name": nodes } }),
  });
  const mine = stored({ nodeName: "node-1" });
  const other = stored({ nodeName: "node-2" });
  const update = { operation: "UPDATE", object: mine, oldObject: mine } as const;
  const status = (nodeName?: string) => ({
    spec: { containerName: "c" },
    ...(nodeName === undefined ? {} : { status: { nodeName } }),
  });
  const checkpoint = (before: object, after: object) =>
    ({ operation: "UPDATE", resource: "containercheckpoints", oldObject: before, object: after }) as const;

  it.each<[string, Request]>([
    ["its node's Containers", update],
    ["their status", { ...update, subResource: "status" }],
    ["the deletion of one", { operation: "DELETE", oldObject: mine }],
    ["a checkpoint of its node", { ...checkpoint(status("node-1"), status("node-1")), subResource: "status" }],
    ["a checkpoint of no node yet", { ...checkpoint(status(), status("node-1")), subResource: "status" }],
    ["the deletion of its checkpoint", { operation: "DELETE", resource: "containercheckpoints", oldObject: status() }],
  ])("lets the agent write %s", (_, request) => {
    expect(denial(policies, { ...request, userInfo: agent("node-1") })).toBeUndefined();
  });

  it.each<[string, RegExp, Request]>([
    [
      "another node's Container",
      /of node "node-2", the agent of node "node-1"/,
      { ...update, object: other, oldObject: other },
    ],
    ["its status", /of node "node-2"/, { ...update, object: other, oldObject: other, subResource: "status" }],
    ["its deletion", /of node "node-2"/, { operation: "DELETE", oldObject: other }],
    ["a spec", /changes no spec/, { ...update, object: stored({ desiredState: "Stopped" }) }],
    ["a new Container", /creates no objects/, { operation: "CREATE", object: mine }],
    ["another node's checkpoint", /of another node/, checkpoint(status("node-2"), status("node-2"))],
    ["a checkpoint into another node's", /of another node/, checkpoint(status(), status("node-2"))],
    [
      "the deletion of another node's checkpoint",
      /of another node/,
      { operation: "DELETE", resource: "containercheckpoints", oldObject: status("node-2") },
    ],
  ])("does not let it write %s", (_, says, request) => {
    expect(denial(policies, { ...request, userInfo: agent("node-1") })).toMatch(says);
  });

  it("lets no agent write whose token names no node", () => {
    expect(denial(policies, { ...update, userInfo: agent() })).toMatch(/names no node/);
  });

  it("is about nobody else", () => {
    expect(denial(policies, { operation: "CREATE", object: mine, userInfo: { username: "alice" } })).toBeUndefined();
  });
});
