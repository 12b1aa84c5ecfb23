// The examples, tried as a new user would: applied, looked at, taken away.
import { resolve } from "node:path";
import { run } from "../../src/node/index.ts";
import type { Cluster } from "./cluster.ts";

const EXAMPLES = resolve(import.meta.dirname, "../../examples");
const PAGE = "http://127.0.0.1:8080/";
const TIMEOUT = "30s";

/** What each example has to come to. */
const EXPECTED = [
  { name: "hello", condition: "Ready", state: "Running", exitCode: undefined },
  { name: "exit", condition: "Failed", state: "Exited", exitCode: 3 },
  { name: "not-found", condition: "Failed", state: "Exited", exitCode: 127 },
] as const;

type Seen = { status?: { state?: string; exitCode?: number } };

/**
 * Applies the examples to a cluster that is up, and shows what became of them on standard output.
 *
 * @throws Error naming the example that did not come to what it should; CommandError
 */
export async function demo(cluster: Cluster): Promise<void> {
  const kubectl = (...args: string[]) => cluster.controlPlane.kubectl(args);
  await show("kubectl apply -f examples/", kubectl("apply", "-f", EXAMPLES));
  const waits = EXPECTED.map(({ name, condition }) =>
    kubectl("wait", `containers/${name}`, `--for=condition=${condition}`, `--timeout=${TIMEOUT}`),
  );
  // What did not come to it is seen in the list, and named by the check.
  await Promise.allSettled(waits);
  await show("kubectl get containers -o wide", kubectl("get", "containers", "-o", "wide"));
  await show("kubectl get events", kubectl("get", "events", "--sort-by=.lastTimestamp"));
  await Promise.all(EXPECTED.map((expected) => check(expected, kubectl)));
  await show(
    `curl ${PAGE}`,
    run("curl", ["-sS", "--fail", "--max-time", "5", PAGE]).then(({ stdout }) => stdout),
  );
  await show("kubectl delete -f examples/", kubectl("delete", "-f", EXAMPLES, `--timeout=${TIMEOUT}`));
}

async function check(
  { name, state, exitCode }: (typeof EXPECTED)[number],
  kubectl: (...args: string[]) => Promise<string>,
): Promise<void> {
  const { status } = JSON.parse(await kubectl("get", "container", name, "-o", "json")) as Seen;
  if (status?.state === state && status.exitCode === exitCode) return;
  const wanted = `${state}/${String(exitCode ?? "–")}`;
  throw new Error(
    `${name}: STATE/EXIT is ${status?.state ?? "–"}/${String(status?.exitCode ?? "–")} and not ${wanted}`,
  );
}

async function show(command: string, output: Promise<string>): Promise<void> {
  process.stdout.write(`\n$ ${command}\n${await output}`);
}
