/** What a run has found out, for a person and for programs: tables, pictures and JSON. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { barChart, type Panel, waterfallChart } from "./chart.ts";
import { PEERS, type PeerName, TITLES } from "./peer.ts";
import type { ProfileSummary, Share } from "./profile.ts";
import { type Figure, type Results, type Summary, summaryOf } from "./results.ts";
import { rounded } from "./statistics.ts";
import { type Target, targetsOf } from "./targets.ts";

/** Between these lines of the page, all is a run's; the rest is written by hand. */
const BEGIN = "<!-- figures: written by make bench -->";
const END = "<!-- end of figures -->";

type Found = Results & { readonly profile?: ProfileSummary };

/** Writes results, pictures and the page's figures into a folder. Answers the names of the files. */
export async function writeReport(folder: string, found: Found): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const { profile, ...results } = found;
  const files = new Map<string, string>([["results.json", JSON.stringify(withSummaries(results))]]);
  const panels = panelsOf(results.figures);
  if (panels.length > 0) files.set("starts.svg", barChart(panels));
  if (results.waterfall !== undefined) files.set("waterfall.svg", waterfallChart(WATERFALL, results.waterfall));
  if (profile !== undefined) files.set("profile.json", JSON.stringify(profile));
  const page = join(folder, "README.md");
  const text = existsSync(page) ? readFileSync(page, "utf8") : `${BEGIN}\n${END}\n`;
  files.set("README.md", withFigures(text, markdown(found)));
  for (const [name, content] of files) {
    const path = join(folder, name);
    const options = { ...(await resolveConfig(path)), filepath: path };
    writeFileSync(path, name.endsWith(".svg") ? content : await format(content, options));
  }
  return [...files.keys()];
}

const WATERFALL = "One start of a Container, from the POST until a watch tells that it runs (medians)";

/** A page with other figures than it had. */
export function withFigures(page: string, figures: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page has no place for figures: ${BEGIN} … ${END}`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${figures}\n\n${page.slice(end)}`;
}

/** What is written of a run, as Markdown: without the page's own words. */
export function markdown(found: Found): string {
  return [
    sentences(found),
    table(["target", "", "measured", ""], targetsOf(found).map(targetRow)),
    ...(found.figures.length === 0 ? [] : ["![Figures](starts.svg)", figureTable(found.figures)]),
    ...(found.waterfall === undefined ? [] : ["![Where the time of a start goes](waterfall.svg)"]),
    ...costs(found),
    ...(found.profile === undefined ? [] : profileTables(found.profile)),
  ].join("\n\n");
}

function sentences({ at, commit, program, machine, peers, rounds, turns }: Results): string {
  const versions = peers.map(
    ({ name, versions: each }) =>
      `${TITLES[name]} (${Object.entries(each)
        .map((pair) => pair.join(" "))
        .join(", ")})`,
  );
  return [
    `Measured on ${at.slice(0, 10)}, commit ${commit}, ${program === "compiled" ? "the compiled program" : "run from source"}:`,
    `${machine.cores} cores (${machine.cpu}), ${machine.memoryGiB} GiB of memory, Linux ${machine.kernel}, cgroups ${machine.cgroups},`,
    `Node.js ${machine.node}, runc ${machine.runc}, kube-apiserver ${machine.apiServer}; ${versions.join("; ")}.`,
    `${rounds.made} rounds, of which the first ${rounds.discarded} warmed up; ${rounds.calls} calls a turn.`,
    `${turns.disturbed} of ${turns.made} turns began while the machine had something else to do.`,
  ].join("\n");
}

function targetRow({ what, limit, atLeast, unit, measured, met }: Target): string[] {
  const verdict = met === undefined ? "not measured" : met ? "met" : "missed";
  const told = measured === undefined ? "–" : `${rounded(measured, 2)} ${unit}`.trimEnd();
  return [what, `${atLeast ? "≥" : "≤"} ${limit} ${unit}`.trimEnd(), told, verdict];
}

/** A row for each scenario: how long a call took, or how many a second there were, beside what the floor takes. */
function figureTable(figures: readonly Figure[]): string {
  const peers = PEERS.filter((name) => figures.some(({ peer }) => peer === name));
  const rows = scenarios(figures).map(([first, ...others]) => [
    first.title,
    ...peers.map((name) => {
      const figure = [first, ...others].find(({ peer }) => peer === name);
      return figure === undefined ? "–" : cell(summaryOf(figure), figure.isBurst);
    }),
    ...(peers.includes("floor") && peers.includes("berth") ? [against([first, ...others])] : []),
  ]);
  const ratio = peers.includes("floor") && peers.includes("berth") ? ["Berth / the floor"] : [];
  return table(["median, p90, p99 in ms", ...peers.map((name) => TITLES[name]), ...ratio], rows);
}

function against(group: readonly Figure[]): string {
  const median = (name: PeerName): number => {
    const figure = group.find(({ peer }) => peer === name);
    return figure === undefined ? NaN : summaryOf(figure).median;
  };
  const ratio = median("berth") / median("floor");
  return Number.isFinite(ratio) ? String(rounded(ratio, 2)) : "–";
}

function cell({ median, p90, p99, perSecond }: Summary, isBurst: boolean): string {
  const ms = [median, p90, p99].map((each) => String(Math.round(each))).join(", ");
  return isBurst ? `${ms}; ${rounded(perSecond)}/s` : ms;
}

/** The figures of each scenario, in the order in which they were measured. */
function scenarios(figures: readonly Figure[]): [Figure, ...Figure[]][] {
  const groups = [...Map.groupBy(figures, ({ scenario }) => scenario).values()];
  return groups.flatMap(([first, ...others]) => (first === undefined ? [] : [[first, ...others]]));
}

function panelsOf(figures: readonly Figure[]): Panel[] {
  const groups = (isBurst: boolean): Panel["groups"] =>
    scenarios(figures.filter((figure) => figure.isBurst === isBurst)).map((group) => ({
      title: group[0].title,
      bars: group.map((figure) => {
        const { median, p99, perSecond } = summaryOf(figure);
        return isBurst
          ? { peer: figure.peer, value: perSecond, label: `${rounded(perSecond)}/s` }
          : { peer: figure.peer, value: median, upTo: p99, label: `${Math.round(median)} ms (p99 ${Math.round(p99)})` };
      }),
    }));
  const panels = [
    { title: "Milliseconds: median, and p99 as a line (less is better)", groups: groups(false) },
    { title: "Containers a second (more is better)", groups: groups(true) },
  ];
  return panels.filter((panel) => panel.groups.length > 0);
}

function costs({ agent: { idle, running, statusWrites } }: Results): string[] {
  const lines: string[] = [];
  if (statusWrites !== undefined)
    lines.push(`- ${statusWrites.perStart} writes of the status a start (${statusWrites.starts} starts)`);
  if (running !== undefined)
    lines.push(`- ${running.rssMB} MB resident with ${running.containers} Containers that run`);
  if (idle !== undefined) {
    lines.push(
      `- with ${idle.containers} stopped Containers and nothing to do: ${idle.rssMB} MB resident, ${idle.cpuPercent} % of a core, ` +
        `${idle.requestsPerMinute} requests a minute to the API server (${idle.seconds} s)`,
    );
  }
  return lines.length === 0 ? [] : ["The agent's own costs:", lines.join("\n")];
}

function profileTables({ containers, wallMs, busyMs, packages, functions }: ProfileSummary): string[] {
  const rows = (shares: readonly Share[], most: number): string[][] =>
    shares.slice(0, most).map(({ what, ms, percent }) => [what, `${ms} ms`, `${percent} %`]);
  const share = Math.round((busyMs / wallMs) * 100);
  return [
    `While ${containers} Containers are started at once, the agent's main thread is busy for ${share} % of ${Math.round(wallMs)} ms ([profile.json](profile.json)). Of that:`,
    table(["package or layer", "self time", ""], rows(packages, 12)),
    table(["function", "self time", ""], rows(functions, 15)),
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** What a table says, for a terminal: Markdown that is aligned. */
export async function forTerminal(text: string): Promise<string> {
  return (await format(text, { parser: "markdown", proseWrap: "preserve" })).replaceAll(/^!\[.*\n\n?/gm, "");
}

/** The summaries beside the calls they are made from. */
function withSummaries(results: Results): object {
  const figures = results.figures.map((figure) => ({
    ...figure,
    summary: Object.fromEntries(
      Object.entries(summaryOf(figure)).map(([name, each]) => [name, rounded(Number(each), 2)]),
    ),
    turns: figure.turns.map(({ ms, wallMs }) => ({ wallMs: rounded(wallMs), ms: ms.map((each) => rounded(each)) })),
  }));
  return { ...results, targets: targetsOf(results), figures };
}
