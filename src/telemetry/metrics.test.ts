import { describe, expect, it } from "@jest/globals";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { ControllerMetrics } from "./controller-metrics.ts";
import { Metrics } from "./metrics.ts";

function make(states: string[] = []): Metrics {
  return new Metrics({
    node: "node-1",
    version: "1.2.3",
    states: () => states,
    budget: () => ({ milliCPU: 1500, pids: 100 }),
    requested: () => ({ milliCPU: 250, memoryBytes: 64 }),
    depths: () => ({ containers: 3, checkpoints: 0 }),
    ready: () => [
      ["containerd", true],
      ["apiserver", false],
    ],
  });
}

async function linesOf(metrics: Metrics): Promise<string[]> {
  return (await metrics.text()).split("\n");
}

describe("Metrics", () => {
  it("asks for the state of things at each scrape", async () => {
    const states = ["Running", "Running", "Dead"];
    const metrics = make(states);
    expect(await linesOf(metrics)).toEqual(
      expect.arrayContaining([
        'berth_agent_info{node="node-1",version="1.2.3"} 1',
        'berth_agent_ready{dependency="containerd"} 1',
        'berth_agent_ready{dependency="apiserver"} 0',
        'berth_containers{state="Running"} 2',
        'berth_containers{state="Dead"} 1',
        'berth_containers{state="Exited"} 0',
        'berth_workqueue_depth{queue="containers"} 3',
        'berth_node_budget{resource="cpu",unit="core"} 1.5',
        'berth_node_budget{resource="pids",unit="integer"} 100',
        'berth_node_requested{resource="cpu",unit="core"} 0.25',
        'berth_node_requested{resource="memory",unit="byte"} 64',
      ]),
    );
    // Where there is no budget, there is none to compare with.
    expect(await metrics.text()).not.toContain('berth_node_budget{resource="memory"');
    states.pop();
    expect(await linesOf(metrics)).toContain('berth_containers{state="Dead"} 0');
  });

  it("counts and measures what it is told", async () => {
    const metrics = make();
    await metrics.work("containers", 0.02, () => Promise.resolve(true));
    await metrics.work("containers", 7, () => Promise.resolve(false));
    metrics.step("create", "success", 0.1);
    metrics.phase("network", 0.004);
    metrics.startFailed("InvalidSpec");
    metrics.restarted("policy");
    metrics.ended("OOMKilled");
    metrics.pulled("success", 20);
    metrics.fetched(1000);
    metrics.onRequest("PATCH", "containers/status", 200, 0.01);
    metrics.onRequest("WATCH", "containers", undefined, 0.01);
    metrics.onWatchEnd("containers", "closed");
    metrics.onCall("Tasks.Create", "OK", 0.06);
    expect(await linesOf(metrics)).toEqual(
      expect.arrayContaining([
        'berth_workqueue_queue_duration_seconds_bucket{le="0.025",queue="containers"} 1',
        'berth_workqueue_queue_duration_seconds_sum{queue="containers"} 7.02',
        'berth_reconcile_duration_seconds_count{queue="containers",result="success"} 1',
        'berth_reconcile_duration_seconds_count{queue="containers",result="error"} 1',
        'berth_step_duration_seconds_sum{verb="create",result="success"} 0.1',
        'berth_start_phase_duration_seconds_bucket{le="0.005",phase="network"} 1',
        'berth_start_failures_total{reason="InvalidSpec"} 1',
        'berth_start_failures_total{reason="CommandNotFound"} 0',
        'berth_container_restarts_total{cause="policy"} 1',
        'berth_container_ends_total{reason="OOMKilled"} 1',
        'berth_image_pull_duration_seconds_bucket{le="30",result="success"} 1',
        "berth_image_pull_bytes_total 1000",
        'berth_apiserver_request_duration_seconds_count{verb="PATCH",resource="containers/status",code="200"} 1',
        'berth_apiserver_request_duration_seconds_count{verb="WATCH",resource="containers",code="<error>"} 1',
        'berth_apiserver_watch_ends_total{resource="containers",how="closed"} 1',
        'berth_containerd_call_duration_seconds_count{method="Tasks.Create",code="OK"} 1',
      ]),
    );
  });

  it("has no figure that would need a timer", async () => {
    expect((await linesOf(make())).filter((line) => line.includes("eventloop_lag_p"))).toEqual([]);
  });

  const read = (file: string): string => readFileSync(join(import.meta.dirname, "../..", file), "utf8");

  it("is documented, metric by metric", async () => {
    const page = read("docs/metrics.md");
    const controller = new ControllerMetrics({
      version: "1.2.3",
      leading: () => true,
      standings: () => ["alive", "alive", "none"],
      depths: () => ({}),
      ready: () => [["leases", true]],
    });
    const others = await controller.text();
    expect(others.split("\n")).toEqual(
      expect.arrayContaining([
        'berth_controller_agents{standing="alive"} 2',
        'berth_controller_agents{standing="gone"} 0',
        "berth_controller_leading 1",
        'berth_controller_ready{dependency="leases"} 1',
      ]),
    );
    const agents = await make().text();
    const text = agents + others.replaceAll(/^# (?:HELP|TYPE) (?!berth_controller).*$/gm, "");
    const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
    const told = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name, help]) => [name, types.get(name), help]);
    const rows = page.split("\n").flatMap((line) => {
      const [, name, type, , help] = line.split("|").map((cell) => cell.trim());
      return name !== undefined && /^`[a-z_]+`$/.test(name)
        ? [[name.slice(1, -1), type, help?.replaceAll("`", "")]]
        : [];
    });
    expect(rows.toSorted()).toEqual(told.toSorted());
  });

  it("has alerts that are documented, each with what to look at", () => {
    const { groups } = parse(read("charts/berth/alerts/berth.yaml")) as { groups: { rules: { alert: string }[] }[] };
    const told = [...read("docs/metrics.md").matchAll(/^\| `(Berth\w+)` +\| \S/gm)].map(([, alert]) => alert);
    expect(told).toEqual(groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)));
  });
});
