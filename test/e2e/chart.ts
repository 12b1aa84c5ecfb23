// Berth in the cluster under test, by its chart: installed and taken away.
import { resolve } from "node:path";
import { CLOSED, NAMESPACE, SYSTEM, TIMEOUT_S, helm, kubectl } from "./cluster.ts";

export const RELEASE = "berth";
export const CHART = resolve(import.meta.dirname, "../../charts/berth");
const VALUES = resolve(import.meta.dirname, "values.yaml");
const WAIT = ["--wait", `--timeout=${String(TIMEOUT_S)}s`];

/** Installs it with the suite's values, and waits until agents and controller are ready. */
export async function install(): Promise<void> {
  await helm("install", RELEASE, CHART, ...values(), ...WAIT);
  await rolledOut();
}

/** Upgrades it, by more of Helm's flags, and waits likewise. */
export async function upgrade(...flags: readonly string[]): Promise<void> {
  await helm("upgrade", RELEASE, CHART, ...values(), ...flags, ...WAIT);
  await rolledOut();
}

/** Rolls it back to how it was installed, and waits likewise. */
export async function rollback(): Promise<void> {
  await helm("rollback", RELEASE, "1", ...WAIT);
  await rolledOut();
}

/** Uninstalls it. `all` has the agents remove every Container before they go. */
export async function uninstall(options: { all: boolean }): Promise<void> {
  if (options.all) await upgrade("--set", "uninstall.deleteContainers=true");
  await helm("uninstall", RELEASE, ...WAIT);
}

/** Removes what an uninstall leaves in the cluster, and the suite's namespaces. What is not there is as good. */
export async function removeRest(): Promise<void> {
  await kubectl("delete", "--ignore-not-found", "crd", "containers.berth.dev", "containercheckpoints.berth.dev");
  await kubectl("delete", "--ignore-not-found", "namespace", NAMESPACE, CLOSED, SYSTEM);
}

/** Whether it is installed. */
export async function isInstalled(): Promise<boolean> {
  return (await helm("list", "--short")).split("\n").includes(RELEASE);
}

async function rolledOut(): Promise<void> {
  const status = ["rollout", "status", "--namespace", SYSTEM, `--timeout=${String(TIMEOUT_S)}s`];
  await kubectl(...status, "daemonset/berth");
  await kubectl(...status, "deployment/berth-controller");
}

function values(): string[] {
  const own = process.env["BERTH_E2E_VALUES"] ?? "";
  return [VALUES, ...(own === "" ? [] : [own])].flatMap((file) => ["--values", file]);
}
