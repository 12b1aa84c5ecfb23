/** The CustomResourceDefinitions, as the API server takes them. */
import { GROUP, VERSION } from "./names.ts";
import { OPEN, PATTERN_SAYS, type Rule } from "./schema/fields.ts";
import { asNode, type SchemaNode } from "./schema/node.ts";
import { container, containerCheckpoint } from "./schema/objects.ts";

/** A column that `kubectl get` prints; with a priority above 0, only with `-o wide`. */
export type Column = { name: string; type: string; jsonPath: string; description: string; priority?: number };

const AGE: Column = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "Time since it was made.",
};

/** The columns of `kubectl get containers`. */
export const CONTAINER_COLUMNS: readonly Column[] = [
  { name: "Node", type: "string", jsonPath: ".spec.nodeName", description: "The node that runs it." },
  { name: "State", type: "string", jsonPath: ".status.state", description: "What it is now." },
  { name: "Exit", type: "integer", jsonPath: ".status.exitCode", description: "Exit code of its last end." },
  {
    name: "Restarts",
    type: "integer",
    jsonPath: ".status.restartCount",
    description: "How often it was started again.",
  },
  { name: "Image", type: "string", jsonPath: ".spec.image", description: "The image as the spec has it." },
  { name: "IP", type: "string", jsonPath: ".status.network.ipAddresses[0]", description: "Its first address." },
  AGE,
  { name: "Desired", type: "string", jsonPath: ".spec.desiredState", description: "What it shall be.", priority: 1 },
  { name: "Reason", type: "string", jsonPath: ".status.reason", description: "Why it is in its state.", priority: 1 },
  {
    name: "Container-ID",
    type: "string",
    jsonPath: ".status.containerID",
    description: "Its id in containerd.",
    priority: 1,
  },
];

/** The columns of `kubectl get containercheckpoints`. */
export const CHECKPOINT_COLUMNS: readonly Column[] = [
  { name: "Container", type: "string", jsonPath: ".spec.containerName", description: "The Container it was taken of." },
  { name: "State", type: "string", jsonPath: ".status.state", description: "Whether it was taken." },
  { name: "Size", type: "string", jsonPath: ".status.size", description: "Size of its data." },
  { name: "Node", type: "string", jsonPath: ".status.nodeName", description: "The node that holds its data." },
  AGE,
  { name: "Reason", type: "string", jsonPath: ".status.reason", description: "Why it is in its state.", priority: 1 },
];

/** The CustomResourceDefinition of Container. */
export function containerCRD(): object {
  return definition({
    names: { kind: "Container", plural: "containers", singular: "container", shortNames: ["ctr"] },
    columns: CONTAINER_COLUMNS,
    schema: asNode(container),
    // Servers before 1.31 drop this field: the agent selects by itself there.
    selectableFields: [{ jsonPath: ".spec.nodeName" }],
  });
}

/** The CustomResourceDefinition of ContainerCheckpoint. */
export function checkpointCRD(): object {
  return definition({
    names: {
      kind: "ContainerCheckpoint",
      plural: "containercheckpoints",
      singular: "containercheckpoint",
      shortNames: ["ctrck"],
    },
    columns: CHECKPOINT_COLUMNS,
    schema: asNode(containerCheckpoint),
  });
}

type Definition = {
  names: { kind: string; plural: string; singular: string; shortNames: string[] };
  columns: readonly Column[];
  schema: SchemaNode;
  selectableFields?: readonly { jsonPath: string }[];
};

function definition({ names, columns, schema, selectableFields }: Definition): object {
  const version = {
    name: VERSION,
    served: true,
    storage: true,
    subresources: { status: {} },
    additionalPrinterColumns: columns,
    ...(selectableFields ? { selectableFields } : {}),
    schema: { openAPIV3Schema: structural(schema) },
  };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${names.plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: "Namespaced",
      names: { ...names, listKind: `${names.kind}List`, categories: ["berth"] },
      versions: [version],
    },
  };
}

/** A schema without the agent's own keywords; `lists` is how many lists it is an item of, one in another. */
function structural(schema: SchemaNode, lists = 0): object {
  const { properties, items, "x-kubernetes-validations": given = [], ...rest } = schema;
  const rules = [...given, ...(lists < 2 ? formRule(schema) : [])].map(({ rule, message }) => ({ rule, message }));
  return {
    ...Object.fromEntries(Object.entries(rest).filter(([keyword]) => !keyword.startsWith("x-berth-"))),
    ...(schema.description === undefined ? {} : { description: `${schema.description}${defaultSays(schema)}` }),
    ...(properties ? { properties: fields(schema, properties, lists) } : {}),
    ...(items ? { items: structural(items, lists + 1) } : {}),
    ...(rules.length > 0 ? { "x-kubernetes-validations": rules } : {}),
  };
}

function fields(holder: SchemaNode, properties: Readonly<Record<string, SchemaNode>>, lists: number): object {
  return Object.fromEntries(
    Object.entries(properties).map(([name, field]) => {
      // Metadata may have patterns, but no rules.
      const { [PATTERN_SAYS]: _says, ...silent } = field;
      return [name, structural(holder[OPEN] ? silent : field, lists)];
    }),
  );
}

/** A default in words, for `kubectl explain` shows none; what an object is without its fields is told by theirs. */
function defaultSays({ type, default: value }: SchemaNode): string {
  return value === undefined || type === "object" ? "" : ` Defaults to ${asText(value)}.`;
}

/** A default that is no object, as a person writes it. */
export const asText = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

/**
 * A pattern said again as a rule, whose message a person understands; older servers have the pattern alone. For a list in
 * a list it would cost more than a server allows.
 */
function formRule(schema: SchemaNode): Rule[] {
  const { pattern, [PATTERN_SAYS]: says } = schema;
  if (pattern === undefined || says === undefined) return [];
  const matches = `self.matches(${JSON.stringify(pattern)})`;
  return [{ rule: schema.type === "string" ? matches : `type(self) != string || ${matches}`, message: says }];
}
