/** What a PromQL expression asks for, by Prometheus' own grammar. */
import { parser } from "@prometheus-io/lezer-promql";

/** One selection of series in an expression. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
}

/** What an expression selects, and the labels it groups and joins by. */
export interface Wishes {
  readonly selectors: readonly Selector[];
  readonly labels: readonly string[];
}

/** @throws Error when it is no PromQL */
export function wishesOf(expression: string): Wishes {
  const tree = parser.parse(expression);
  const selectors: { metric: string; matchers: Selector["matchers"][number][] }[] = [];
  const labels: string[] = [];
  const textOf = ({ from, to }: { from: number; to: number }): string => expression.slice(from, to);
  tree.iterate({
    enter({ name, type, node }) {
      if (type.isError) throw new Error(`no PromQL from character ${node.from} on: ${expression}`);
      if (name === "VectorSelector") {
        const metric = node.getChild("Identifier");
        if (metric !== null) selectors.push({ metric: textOf(metric), matchers: [] });
      }
      if (name === "UnquotedLabelMatcher") {
        const [label = "", operator = "", value = ""] = [...children(node)].map(textOf);
        selectors.at(-1)?.matchers.push({ label, operator, value: JSON.parse(value) as string });
      }
      if (name === "GroupingLabels") labels.push(...node.getChildren("LabelName").map(textOf));
    },
  });
  return { selectors, labels };
}

type Node = NonNullable<ReturnType<typeof parser.parse>["topNode"]["firstChild"]>;

function* children(node: Node): Generator<Node> {
  for (let child = node.firstChild; child !== null; child = child.nextSibling) yield child;
}

/** A series of a scrape: the metric's name as it stands there, and its labels. */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The series of an answer in Prometheus' text format. */
export function seriesOf(text: string): Series[] {
  return text.split("\n").flatMap((line) => {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null) return [];
    const [, name = "", labels = "", value] = match;
    const pairs = [...labels.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, label, worth]) => [label, worth] as const);
    return [{ name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) }];
  });
}
