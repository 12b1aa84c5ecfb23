/** After the tests, whatever became of them: the cluster is as it was, unless it is to be looked at, or thrown away. */
import { isInstalled, removeRest, uninstall } from "./chart.ts";

export default async function teardown(): Promise<void> {
  if ((process.env["BERTH_E2E_KEEP"] ?? "") !== "") return;
  if (await isInstalled()) await uninstall({ all: true });
  await removeRest();
}
