/** Before the tests: Berth is installed. What is there already is somebody's, and left alone. */
import { install } from "./chart.ts";
import { apply, chooseNode, CLOSED, kubectl, NAMESPACE, SYSTEM } from "./cluster.ts";
import teardown from "./teardown.ts";

/** Where the agents are: their Pods are privileged; and where Containers may be. */
const LABELS = { "pod-security.kubernetes.io/enforce": "privileged" };

export default async function setup(): Promise<void> {
  if ((await kubectl("get", "crd", "containers.berth.dev", "--ignore-not-found", "-o", "name")) !== "") {
    const what = "Berth is in this cluster already (CustomResourceDefinition containers.berth.dev)";
    throw new Error(`${what}: take it away, or take another cluster`);
  }
  try {
    const namespaces = [SYSTEM, NAMESPACE, CLOSED];
    await apply(
      ...namespaces.map((name) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels: LABELS } })),
    );
    await install();
    await chooseNode();
  } catch (error) {
    process.stderr.write(await kubectl("describe", "pods", "--namespace", SYSTEM));
    const logs = ["logs", "--namespace", SYSTEM, "--selector", "app.kubernetes.io/name=berth", "--prefix", "--tail=20"];
    process.stderr.write(await kubectl(...logs));
    // Nobody else does, when this fails.
    await teardown().catch((further: unknown) => {
      process.stderr.write(`${String(further)}\n`);
    });
    throw error;
  }
}
