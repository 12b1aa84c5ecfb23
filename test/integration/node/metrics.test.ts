// What a real agent tells Prometheus; that the alerts and the dashboard ask for nothing else; the log's ids.
import { describe, expect, it } from "@jest/globals";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import type { Container } from "../../../src/api/index.ts";
import { keyOf } from "../../../src/kube/index.ts";
import { type Series, seriesOf, wishesOf } from "../../support/promql.ts";
import { askRestart, untilRestarted } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
/** Labels that Prometheus gives each target, and a histogram its buckets. */
const OTHERS = ["instance", "le"];

const test = useNode({ flags: { "log-level": "trace" } });

async function scrape(): Promise<Series[]> {
  const response = await fetch(`http://${test().node.metricsAddress}/metrics`);
  expect(response.headers.get("Content-Type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return seriesOf(await response.text());
}

/** The value of the one series that has these labels. */
function valueOf(series: Series[], name: string, labels: Record<string, string> = {}): number | undefined {
  const found = series.filter((one) => one.name === name && has(one, labels));
  expect(found.length).toBeLessThan(2);
  return found[0]?.value;
}

function has({ labels }: Series, wanted: Record<string, string>): boolean {
  return Object.entries(wanted).every(([label, value]) => labels[label] === value);
}

/** What Grafana puts in the place of its variables. */
function withoutVariables(expression: string): string {
  return expression.replaceAll("$__rate_interval", "5m").replaceAll("$instance", ".*");
}

function expressions(): string[] {
  const read = (file: string): string => readFileSync(join(ROOT, "charts/berth", file), "utf8");
  const alerts = parse(read("alerts/berth.yaml")) as { groups: { rules: { expr: string }[] }[] };
  const dashboard = JSON.parse(read("dashboards/berth.json")) as { panels: { targets?: { expr: string }[] }[] };
  const asked = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => withoutVariables(expr)));
  return [...alerts.groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)), ...asked];
}

interface LogLine {
  readonly msg: string;
  readonly key?: string;
  readonly reconcileID?: string;
  readonly verb?: string;
  readonly phase?: string;
  readonly err?: { readonly stack: string };
}

function log(): LogLine[] {
  const lines = readFileSync(test().node.agentLogFile, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as LogLine);
}

let failed: Container;

describe("metrics", () => {
  it("tell of starts, failures, restarts, pulls, requests and calls", async () => {
    const running = await test().create({ network: { mode: "Bridge" } });
    await test().untilCondition(running, "Ready");
    await askRestart(test(), running, "now");
    await untilRestarted(test(), running, 1);
    const ended = await test().create({
      command: ["sh", "-c", "exit 3"],
      restartPolicy: "OnFailure",
      maxRestarts: 2,
    });
    failed = await test().create({ command: ["/no/such/command"] });
    await test().untilCondition(ended, "Failed");
    await test().untilCondition(failed, "Failed");
    // The last, for it is tried again.
    const missing = await test().create({ image: test().image("no-such-tag") });
    await test().until(missing, "ErrImagePull", ({ status }) => status?.reason === "ErrImagePull");

    const series = await scrape();
    const value = valueOf.bind(undefined, series);
    expect(value("berth_agent_info", { node: test().node.name })).toBe(1);
    expect(value("berth_agent_ready", { dependency: "containerd" })).toBe(1);
    expect(value("berth_agent_ready", { dependency: "apiserver" })).toBe(1);
    const counts = ["Running", "Exited", "Pending", "Dead"].map((state) => value("berth_containers", { state }));
    expect(counts).toEqual([1, 2, 1, 0]);
    const again = { verb: "startAgain", result: "success" };
    expect(value("berth_step_duration_seconds_count", again)).toBe(3);
    expect(value("berth_step_duration_seconds_count", { verb: "create", result: "success" })).toBe(2);
    expect(
      value("berth_step_duration_seconds_count", { verb: "create", result: "startFailed" }),
    ).toBeGreaterThanOrEqual(2);
    expect(value("berth_start_failures_total", { reason: "CommandNotFound" })).toBe(1);
    expect(value("berth_start_failures_total", { reason: "ErrImagePull" })).toBe(1);
    expect(value("berth_container_restarts_total", { cause: "policy" })).toBe(2);
    expect(value("berth_container_restarts_total", { cause: "request" })).toBe(1);
    expect(value("berth_container_ends_total", { reason: "Error" })).toBe(3);
    expect(value("berth_image_pull_duration_seconds_count", { result: "NotFound" })).toBeGreaterThan(0);
    expect(value("berth_image_pull_duration_seconds_count", { result: "success" })).toBeGreaterThan(0);
    expect(value("berth_image_pull_bytes_total")).toBeGreaterThan(100_000);
    const phases = series.filter(({ name }) => name === "berth_start_phase_duration_seconds_count");
    expect(Object.fromEntries(phases.map(({ labels, value }) => [labels["phase"], value]))).toEqual({
      ...{ guards: 6, storage: 6, namespace: 3, network: 3, files: 6, spec: 3, record: 3 },
      ...{ task: 5, start: 5, save: 5 },
    });
    const write = { verb: "PATCH", resource: "containers/status", code: "200" };
    expect(value("berth_apiserver_request_duration_seconds_count", write)).toBeGreaterThanOrEqual(4);
    const made = value("berth_containerd_call_duration_seconds_count", { method: "Tasks.Create", code: "OK" });
    expect(made).toBe(5);
    const refused = { method: "Tasks.Create", code: "UNKNOWN" };
    expect(value("berth_containerd_call_duration_seconds_count", refused)).toBe(1);
    expect(value("berth_reconcile_duration_seconds_count", { queue: "containers", result: "error" })).toBe(0);
  });

  it("are what the alerts and the dashboard ask for, with these labels and values", async () => {
    const series = await scrape();
    const asked = expressions();
    expect(asked.length).toBeGreaterThan(30);
    for (const expression of asked) {
      const { selectors, labels } = wishesOf(expression);
      const there = selectors.flatMap(({ metric, matchers }) => {
        const equal = matchers.filter(({ operator }) => operator === "=").map(({ label, value }) => [label, value]);
        const wanted = Object.fromEntries(equal) as Record<string, string>;
        const found = series.filter((one) => one.name === metric && has(one, wanted));
        if (found.length === 0) throw new Error(`no ${metric} ${JSON.stringify(wanted)}, asked for by ${expression}`);
        const named = [...OTHERS, ...found.flatMap((one) => Object.keys(one.labels))];
        expect(named).toEqual(expect.arrayContaining(matchers.map(({ label }) => label)));
        return named;
      });
      expect(there).toEqual(expect.arrayContaining([...labels]));
    }
  });

  it("are documented with their labels, which are few and name no object", async () => {
    const page = readFileSync(join(ROOT, "docs/metrics.md"), "utf8");
    const told = new Map(
      [...page.matchAll(/^\| `(\S+)` +\| \w+ +\|([^|]*)\|/gm)].map(([, name, cell]) => [
        name,
        [...(cell ?? "").matchAll(/`(\w+)`/g)].map(([, label]) => label),
      ]),
    );
    for (const { name, labels } of await scrape()) {
      const metric = told.has(name) ? name : name.replace(/_(bucket|sum|count)$/, "");
      const found = Object.keys(labels).filter((label) => label !== "le");
      expect([metric, found.toSorted()]).toEqual([metric, told.get(metric)?.toSorted()]);
      for (const value of Object.values(labels)) expect(value).not.toMatch(/^(default|c\d+-\d+)/);
    }
  });
});

describe("the log", () => {
  it("has one id for all that a reconcile says, the runtime's refusal too", () => {
    const verdict = log().find(({ msg, key }) => msg === "start failed" && key === keyOf(failed));
    expect(verdict?.reconcileID).toMatch(/^[0-9a-f-]{36}$/);
    const same = log().filter(({ reconcileID }) => reconcileID === verdict?.reconcileID);
    expect(new Set(same.map(({ key }) => key))).toEqual(new Set([keyOf(failed)]));
    expect(same.map(({ verb, phase, msg }) => verb ?? phase ?? msg)).toEqual(
      expect.arrayContaining(["create", "storage", "record", "start failed", "why the start failed"]),
    );
    expect(same.find(({ err }) => err !== undefined)?.err?.stack).toContain("ContainerdError: Tasks.Create");
  });
});
