/** Pictures of figures, as SVG that needs nothing beside it and can be read on a light and on a dark page. */
import { type PeerName, TITLES } from "./peer.ts";
import type { Bar } from "./waterfall.ts";

/** One bar of a chart. */
export interface ChartBar {
  readonly peer: PeerName;
  readonly value: number;
  /** How far its thin line goes: most calls are below. */
  readonly upTo?: number;
  readonly label: string;
}

/** Bars that are compared with each other. */
export interface ChartGroup {
  readonly title: string;
  readonly bars: readonly ChartBar[];
}

/** Groups on one scale. */
export interface Panel {
  readonly title: string;
  readonly groups: readonly ChartGroup[];
}

/** Told apart by those, too, who do not see all colours (Okabe and Ito's palette). */
const COLORS: Record<PeerName, string> = { floor: "#999999", docker: "#56b4e9", berth: "#d55e00", kubelet: "#009e73" };

const WIDTH = 900;
const MARGIN = 20;
const LABELS = 190;
const BAR = 14;
const GAP = 12;
const HEADING = 34;
/** What a bar's own label takes behind it. */
const BEHIND = 190;
const ROOM = WIDTH - 2 * MARGIN - LABELS - BEHIND;

/** Horizontal bars, panel by panel, with a legend of who is in them. */
export function barChart(panels: readonly Panel[]): string {
  const parts: string[] = [];
  const peers = new Set(panels.flatMap(({ groups }) => groups.flatMap(({ bars }) => bars.map(({ peer }) => peer))));
  let x = MARGIN;
  for (const peer of peers) {
    parts.push(rect(x, MARGIN, BAR, BAR, COLORS[peer]), text(x + BAR + 6, MARGIN + 11, TITLES[peer]));
    x += 160;
  }
  let y = MARGIN + BAR + GAP;
  for (const { title, groups } of panels) {
    const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value, upTo }) => Math.max(value, upTo ?? 0))));
    parts.push(text(MARGIN, y + 20, title, "bold"));
    y += HEADING;
    for (const group of groups) {
      parts.push(...drawGroup(group, y, ROOM / most));
      y += group.bars.length * (BAR + 2) + GAP;
    }
  }
  return svg(y + MARGIN - GAP, parts);
}

function drawGroup({ title, bars }: ChartGroup, top: number, scale: number): string[] {
  const left = MARGIN + LABELS;
  return [
    text(MARGIN, top + 11, title),
    ...bars.flatMap(({ peer, value, upTo = value, label }, index) => {
      const y = top + index * (BAR + 2);
      const end = left + Math.max(value, upTo) * scale;
      return [
        rect(left, y, value * scale, BAR, COLORS[peer]),
        ...(upTo > value ? [rect(left + value * scale, y + BAR / 2 - 1, (upTo - value) * scale, 2, COLORS[peer])] : []),
        text(end + 6, y + 11, label),
      ];
    }),
  ];
}

/** The phases of a start, each from when it begins to when it ends. */
export function waterfallChart(title: string, bars: readonly Bar[]): string {
  const end = Math.max(...bars.map(({ startMs, ms }) => startMs + ms));
  const left = MARGIN + 90;
  const scale = (WIDTH - left - MARGIN - 80) / end;
  const top = MARGIN + HEADING;
  const bottom = top + bars.length * (BAR + 6);
  const step = [5, 10, 20, 50, 100, 200, 500].find((each) => end / each <= 12) ?? 1000;
  const lines = Array.from({ length: Math.floor(end / step) + 1 }, (_, index) => left + index * step * scale);
  return svg(bottom + HEADING, [
    text(MARGIN, MARGIN + 11, title, "bold"),
    ...lines.flatMap((x, index) => [
      rect(x, top - 4, 1, bottom - top + 4, "#dddddd"),
      text(x - 4, bottom + 14, `${index * step}`),
    ]),
    text(WIDTH - MARGIN - 24, bottom + 14, "ms"),
    ...bars.flatMap(({ phase, startMs, ms }, index) => {
      const y = top + index * (BAR + 6);
      return [
        text(MARGIN, y + 11, phase),
        rect(left + startMs * scale, y, Math.max(ms * scale, 1), BAR, COLORS.berth),
        text(left + (startMs + ms) * scale + 6, y + 11, `${ms} ms`),
      ];
    }),
  ]);
}

function svg(height: number, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    ...parts,
    `</svg>\n`,
  ].join("\n");
}

function rect(x: number, y: number, width: number, height: number, fill: string): string {
  return `<rect x="${px(x)}" y="${px(y)}" width="${px(width)}" height="${px(height)}" fill="${fill}"/>`;
}

function text(x: number, y: number, words: string, weight = "normal"): string {
  const escaped = words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${px(x)}" y="${px(y)}" fill="#222222" font-weight="${weight}">${escaped}</text>`;
}

function px(number: number): string {
  return String(Math.round(number * 10) / 10);
}
