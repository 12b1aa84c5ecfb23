// The chart, rendered by the real Helm.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { CommandError, run } from "../../src/node/index.ts";
import { findTools } from "../cluster/tools.ts";

/** The chart's folder. */
export const CHART = resolve(import.meta.dirname, "../../charts/berth");

const TIMEOUT_MS = 120_000;
/** The chart with its CRDs is more than a command's output usually is. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** What Helm is given: values, as a file with `--values -`, and the cluster it is for. */
export interface HelmOptions {
  readonly values?: object;
  /** None unless given, also if there is one in the environment. */
  readonly kubeconfig?: string;
}

/**
 * Runs Helm and answers what it printed. What Helm keeps for itself lies in a folder that goes again.
 * @throws Error with Helm's own words
 */
export async function helm(args: readonly string[], { values, kubeconfig }: HelmOptions = {}): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), "berth-helm-"));
  try {
    const given = values === undefined ? [] : ["--values", "-"];
    const { stdout } = await run(findTools().helm, [...args, ...given], {
      ...(values === undefined ? {} : { input: JSON.stringify(values) }),
      env: { PATH: process.env["PATH"] ?? "", HOME: home, KUBECONFIG: kubeconfig ?? "/dev/null" },
      timeoutMs: TIMEOUT_MS,
      maxOutputBytes: MAX_OUTPUT_BYTES,
    });
    return stdout;
  } catch (error) {
    if (error instanceof CommandError && error.stderr !== "") throw new Error(error.stderr, { cause: error });
    throw error;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** The namespace that the manifests, and all our examples, are for. */
export const NAMESPACE = "berth-system";

/** The chart's objects as YAML, for an API server of the version given. */
export function template(values: object = {}, kubeVersion = "1.36"): Promise<string> {
  return helm(["template", "berth", CHART, "--namespace", NAMESPACE, "--kube-version", kubeVersion], { values });
}
