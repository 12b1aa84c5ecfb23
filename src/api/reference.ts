/** The API reference, a page a kind: what the schema says of each field, for a person. */
import { asText, CHECKPOINT_COLUMNS, type Column, CONTAINER_COLUMNS } from "./crd.ts";
import { API_VERSION } from "./names.ts";
import { IN_PLACE_FIELDS } from "./recreation.ts";
import { DURATION, OPEN, PATTERN_SAYS, QUANTITY } from "./schema/fields.ts";
import { asNode, isFields, type SchemaNode } from "./schema/node.ts";
import { container, containerCheckpoint } from "./schema/objects.ts";

const HEADER = "<!-- Generated from src/api by `node src/api/generate.ts`; do not edit. -->";

const LEGEND =
  "Each field has its own anchor, `#status.state` for instance. What a field is without being given stands behind its type; " +
  "what has neither that nor “required” may be left out, and its description says what happens then. A quantity is written as " +
  "in Kubernetes (`500m`, `64Mi`), a duration as `30s` or `1m30s`, a time as in RFC 3339. Patterns are told in words; the CRD " +
  "in `manifests/crd` has them as they are. What `kubectl explain` says of a field is the same.";

/** The reference of Container, in Markdown. */
export function containerReference(): string {
  return page({
    title: "Container",
    facts: `\`${API_VERSION}\`, plural \`containers\`, short name \`ctr\`, category \`berth\`, namespaced`,
    more: "[The Container resource](../resource.md) tells how the fields play together.",
    schema: asNode(container),
    columns: CONTAINER_COLUMNS,
    inPlace: IN_PLACE_FIELDS,
  });
}

/** The reference of ContainerCheckpoint, in Markdown. */
export function checkpointReference(): string {
  return page({
    title: "ContainerCheckpoint",
    facts: `\`${API_VERSION}\`, plural \`containercheckpoints\`, short name \`ctrck\`, category \`berth\`, namespaced`,
    more: "[Checkpoints](../checkpoints.md) tells what one holds, and how to go on from it.",
    schema: asNode(containerCheckpoint),
    columns: CHECKPOINT_COLUMNS,
    inPlace: [],
  });
}

type Page = {
  title: string;
  facts: string;
  more: string;
  schema: SchemaNode;
  columns: readonly Column[];
  /** The fields of `spec` that change without another container. */
  inPlace: readonly string[];
};

function page({ title, facts, more, schema, columns, inPlace }: Page): string {
  const paragraphs = [
    HEADER,
    `# ${title}`,
    `${schema.description ?? ""} ${facts}.`,
    more,
    LEGEND,
    ...rules(schema),
    ...Object.entries(schema.properties ?? {}).flatMap(([name, field]) =>
      isObject(field) ? sections(name, field, inPlace) : [],
    ),
    ...columnTable(columns),
  ];
  return `${paragraphs.join("\n\n")}\n`;
}

/** The section of an object, or of a list of objects, and those of what is below it. `path` is how anchors name it. */
function sections(path: string, node: SchemaNode, inPlace: readonly string[] = []): string[] {
  const holder = node.items ?? node;
  const fields = Object.entries(holder.properties ?? {});
  const required = new Set(holder.required ?? []);
  const level = path.includes(".") ? "###" : "##";
  const changes = (name: string) => (inPlace.includes(name) ? ["changes in place"] : []);
  return [
    `<a id="${path}"></a>`,
    `${level} ${path}${node.items ? "[]" : ""}`,
    ...(holder[OPEN] ? ["As in every Kubernetes object."] : [inWords([text(node), ...limits(node, path)])]),
    ...(node.items ? [`Each item: ${text(node.items)}`] : []),
    ...[...rules(node), ...(node.items ? rules(node.items) : [])],
    "Fields:",
    fields
      .map(([name, field]) => entry(`${path}.${name}`, name, field, [...needed(required, name), ...changes(name)]))
      .join("\n\n"),
    ...fields.flatMap(([name, field]) => (isObject(field) ? sections(`${path}.${name}`, field) : [])),
  ];
}

const needed = (required: ReadonlySet<string>, name: string) => (required.has(name) ? ["required"] : []);

/** A field of an object; one that is an object itself has its anchor and all else at its own section. */
function entry(path: string, name: string, node: SchemaNode, remarks: readonly string[]): string {
  const facts = [...(isObject(node) ? [] : defaultOf(node)), ...remarks];
  const behind = facts.length > 0 ? `, ${facts.join(", ")}` : "";
  if (isObject(node)) return `- **[\`${name}\`](#${path})** (${typeOf(node)}${behind})\n\n  ${text(node)}`;
  const body = [inWords([text(node), ...limits(node, path)]), ...rules(node)].map(indented);
  return [`- <a id="${path}"></a>**\`${name}\`** (${typeOf(node)}${behind})`, ...body].join("\n\n");
}

const indented = (paragraph: string) =>
  paragraph
    .split("\n")
    .map((line) => (line === "" ? "" : `  ${line}`))
    .join("\n");

const inWords = (sentences: readonly string[]) => sentences.filter((sentence) => sentence !== "").join(" ");

const isObject = ({ properties, items }: SchemaNode): boolean =>
  properties !== undefined || items?.properties !== undefined;

/** A description, safe from Markdown. */
const text = ({ description = "" }: SchemaNode) => description.replaceAll(/[<*]|(?<=\W|^)_|_(?=\W|$)/g, "\\$&");

function typeOf(node: SchemaNode): string {
  const { type, items, pattern, format } = node;
  if (type === "array") return `list of ${items?.properties ? "objects" : `${typeOf(items ?? {})}s`}`;
  if (pattern === QUANTITY.pattern) return "quantity";
  if (pattern === DURATION.pattern) return "duration";
  if (node["x-kubernetes-int-or-string"]) return "integer or string";
  return format === "date-time" ? "time" : (type ?? "");
}

function defaultOf({ default: value }: SchemaNode): string[] {
  return value === undefined || isFields(value) ? [] : [`\`${asText(value)}\` unless set`];
}

/** What a value must be, a sentence each; of a status, which nobody writes by hand, the words that it can be. */
function limits(node: SchemaNode, path: string): string[] {
  if (path.startsWith("status")) return node.enum ? words(node) : [];
  return [...words(node), ...amounts(node), ...(node.items?.properties ? [] : ofItems(node.items, path))];
}

function words({ enum: values, pattern, [PATTERN_SAYS]: says }: SchemaNode): string[] {
  if (values) return [`One of ${values.map((value) => `\`${value === "" ? '""' : value}\``).join(", ")}.`];
  const isNamed = pattern === QUANTITY.pattern || pattern === DURATION.pattern;
  return says === undefined || isNamed ? [] : [`It ${escaped(says)}.`];
}

const escaped = (sentence: string) => sentence.replaceAll(/[*<]/g, "\\$&");

function amounts(node: SchemaNode): string[] {
  const { type, minimum, maximum, minLength = 0, maxLength, minItems = 0, maxItems, format } = node;
  const sentences: string[] = [];
  if (maximum !== undefined && minimum !== undefined)
    sentences.push(
      maximum === Number.MAX_SAFE_INTEGER
        ? `At least ${String(minimum)}.`
        : `${String(minimum)} to ${String(maximum)}.`,
    );
  if (type === "string" && maxLength !== undefined && format !== "date-time")
    sentences.push(`${minLength > 0 ? "Not empty, at" : "At"} most ${String(maxLength)} characters.`);
  if (maxItems !== undefined)
    sentences.push(
      `${minItems > 0 ? `${String(minItems)} to` : "At most"} ${String(maxItems)} items${uniqueBy(node)}.`,
    );
  return sentences;
}

function uniqueBy(node: SchemaNode): string {
  const keys = node["x-kubernetes-list-map-keys"] ?? [];
  return keys.length > 0 ? `, each with another ${keys.map((key) => `\`${key}\``).join(" and ")}` : "";
}

function ofItems(items: SchemaNode | undefined, path: string): string[] {
  return items ? [`Each: ${inWords([text(items), ...limits(items, path)])}`] : [];
}

/** The rules that stand at a node, in the words of their messages. */
function rules(node: SchemaNode): string[] {
  const messages = (node["x-kubernetes-validations"] ?? []).map(({ message }) => `- ${escaped(message)}`);
  return messages.length > 0 ? ["Rules:", messages.join("\n")] : [];
}

function columnTable(columns: readonly Column[]): string[] {
  const rows = [
    ["column", "field", ""],
    ...columns.map(({ name, jsonPath, description, priority = 0 }) => [
      name.toUpperCase(),
      `\`${jsonPath.slice(1)}\``,
      `${description}${priority > 0 ? " With `-o wide`." : ""}`,
    ]),
  ];
  const widths = [0, 1, 2].map((index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const padded = rows.map((row) => line(row.map((cell, index) => cell.padEnd(widths[index] ?? 0))));
  const rule = line(widths.map((width) => "-".repeat(width)));
  return ["## Columns of kubectl get", [padded[0], rule, ...padded.slice(1)].join("\n")];
}
