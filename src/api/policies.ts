/**
 * ValidatingAdmissionPolicies (Kubernetes 1.30 and later), which say at the API server what the agents go by: the Pod
 * Security Standards of a namespace, and that an agent writes its own node's objects only.
 */
import { GROUP } from "./names.ts";
import { violations } from "./pod-security/checks.ts";
import {
  ADMITTED_FIELDS,
  ENFORCE,
  ENFORCE_VERSION,
  LATEST_MINOR,
  type Level,
  VERSION_FORM,
} from "./pod-security/policy.ts";

const API = "admissionregistration.k8s.io/v1";
/** Where a token tells of the node whose pod it was given to (Kubernetes 1.30 and later). */
const NODE_CLAIM = "authentication.kubernetes.io/node-name";

type Enforced = Exclude<Level, "privileged">;

type Validation = { expression: string; message?: string; messageExpression?: string; reason: "Forbidden" };
type Named = { name: string; expression: string };
type Policy = {
  operations: readonly string[];
  resources: readonly string[];
  matchConditions: readonly Named[];
  variables: readonly Named[];
  validations: readonly Validation[];
};

function policy(name: string, { operations, resources, ...rest }: Policy): object {
  const resourceRules = [{ apiGroups: [GROUP], apiVersions: ["*"], operations, resources }];
  return {
    apiVersion: API,
    kind: "ValidatingAdmissionPolicy",
    metadata: { name },
    spec: { failurePolicy: "Fail", matchConstraints: { resourceRules }, ...rest },
  };
}

type Requirement = { key: string; operator: "In" | "NotIn" | "Exists" | "DoesNotExist"; values?: readonly string[] };

function binding(name: string, policyName: string, namespaces?: readonly Requirement[]): object {
  const matchResources = { namespaceSelector: { matchExpressions: namespaces } };
  return {
    apiVersion: API,
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name },
    spec: { policyName, validationActions: ["Deny"], ...(namespaces === undefined ? {} : { matchResources }) },
  };
}

const IN_PLACE = `[${ADMITTED_FIELDS.map((field) => `'${field}'`).join(", ")}]`;
/** CEL: whether an object has a field that counts and that another has not, or not so. */
const differs = (one: string, other: string): string =>
  `${one}.spec.exists(f, !(f in ${IN_PLACE}) && (!(f in ${other}.spec) || ${one}.spec[f] != ${other}.spec[f]))`;

/** CEL: whether what is asked for needs to be admitted, as `admissionNeeded` says it. */
const ASKED_ANEW = [
  `request.operation == 'CREATE'`,
  differs("object", "oldObject"),
  differs("oldObject", "object"),
].join(" || ");

const LABELS = "namespaceObject.metadata.labels";
const VERSION_LABEL = `${LABELS}['${ENFORCE_VERSION}']`;

function podSecurityPolicy(level: Enforced): object {
  return policy(`berth-pod-security-${level}`, {
    operations: ["CREATE", "UPDATE"],
    resources: ["containers"],
    matchConditions: [{ name: "asked-anew", expression: ASKED_ANEW }],
    variables: [
      {
        name: "version",
        expression: `has(${LABELS}) && '${ENFORCE_VERSION}' in ${LABELS} && ${VERSION_LABEL}.matches('${VERSION_FORM}') ? ${VERSION_LABEL} : 'latest'`,
      },
      {
        name: "minor",
        expression: `variables.version == 'latest' ? ${LATEST_MINOR} : int(variables.version.substring(3))`,
      },
      { name: "violations", expression: violations(level) },
    ],
    validations: [
      {
        expression: "variables.violations.size() == 0",
        messageExpression: `'violates PodSecurity "${level}:' + variables.version + '": ' +\nvariables.violations.join(', ')`,
        reason: "Forbidden",
      },
    ],
  });
}

/** Which namespaces a level is for. A label that names no level there is means the strictest, as for Pods. */
const NAMESPACES: Readonly<Record<Enforced, readonly Requirement[]>> = {
  baseline: [{ key: ENFORCE, operator: "In", values: ["baseline"] }],
  restricted: [
    { key: ENFORCE, operator: "Exists" },
    { key: ENFORCE, operator: "NotIn", values: ["privileged", "baseline"] },
  ],
};

/**
 * The policies for the Pod Security Standards, bound to the namespaces that ask for them by label.
 * @param unlabelled what holds in the others, the agents' `--pod-security-default`
 */
export function podSecurityPolicies(unlabelled: Level): object[] {
  const levels: readonly Enforced[] = ["baseline", "restricted"];
  const name = (level: Enforced) => `berth-pod-security-${level}`;
  const bound = levels.map((level) => binding(name(level), name(level), NAMESPACES[level]));
  const others =
    unlabelled === "privileged"
      ? []
      : [binding("berth-pod-security-unlabelled", name(unlabelled), [{ key: ENFORCE, operator: "DoesNotExist" }])];
  return [...levels.map(podSecurityPolicy), ...bound, ...others];
}

const CREATED = "request.operation == 'CREATE'";
/** CEL: whether a checkpoint is bound to another node than the agent's, or to none. */
const elsewhere = (object: string): string =>
  `has(${object}.status) && has(${object}.status.nodeName) && ${object}.status.nodeName != variables.node`;

/**
 * The policy that binds an agent to its node, by the node that its token names: it may change and delete the Containers and
 * checkpoints of that node only, and no spec.
 * @param user the agents' user, `system:serviceaccount:<namespace>:<name>`
 */
export function ownNodePolicies(user: string): object[] {
  const name = "berth-agent-own-node";
  const own = policy(name, {
    operations: ["CREATE", "UPDATE", "DELETE"],
    resources: ["containers", "containers/status", "containercheckpoints", "containercheckpoints/status"],
    matchConditions: [{ name: "by-an-agent", expression: `request.userInfo.username == '${user}'` }],
    variables: [
      {
        name: "node",
        expression: `has(request.userInfo.extra) && '${NODE_CLAIM}' in request.userInfo.extra ? request.userInfo.extra['${NODE_CLAIM}'][0] : ''`,
      },
    ],
    validations: [
      {
        expression: "variables.node != ''",
        message: `the agent's token names no node (${NODE_CLAIM}): an agent has to run in a pod of its node`,
        reason: "Forbidden",
      },
      {
        expression: "request.operation != 'CREATE'",
        message: "an agent creates no objects of Berth's",
        reason: "Forbidden",
      },
      {
        expression: "request.operation != 'UPDATE' || object.spec == oldObject.spec",
        message: "an agent changes no spec",
        reason: "Forbidden",
      },
      {
        expression: `${CREATED} || request.resource.resource != 'containers' || oldObject.spec.nodeName == variables.node`,
        messageExpression: `'the Container is of node "' + oldObject.spec.nodeName +\n'", the agent of node "' + variables.node + '"'`,
        reason: "Forbidden",
      },
      {
        expression: `${CREATED} || request.resource.resource == 'containers' || !(${elsewhere("oldObject")} || request.operation == 'UPDATE' && ${elsewhere("object")})`,
        messageExpression: `'the checkpoint is of another node, the agent of node "' +\nvariables.node + '"'`,
        reason: "Forbidden",
      },
    ],
  });
  return [own, binding(name, name)];
}
