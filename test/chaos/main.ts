/**
 * `make test-chaos SEED=… MINUTES=…`: two nodes, forty Containers that are wished this and that, while agents, containerds
 * and the API server are killed and frozen under them. The same seed gives the same wishes and faults, in the same order.
 */
import { parameter, say, withCluster } from "./program.ts";
import { Chaos } from "./run.ts";

const CONTAINERS = 40;
const WISH_MS = 700;
const ROUND_MS = 45_000;
const SETTLE_MS = 150_000;

async function main(): Promise<void> {
  const seed = parameter("SEED", Math.floor(Math.random() * 1e6));
  const minutes = parameter("MINUTES", 5);
  const again = `make test-chaos SEED=${seed} MINUTES=${minutes}`;
  say(again);
  await withCluster({ nodes: 2, again }, (cluster) => {
    const chaos = new Chaos(cluster, {
      seed,
      containers: CONTAINERS,
      wishMs: WISH_MS,
      faults: true,
      settleMs: SETTLE_MS,
      say,
    });
    return { chaos, outcome: chaos.run(minutes, ROUND_MS) };
  });
}

await main();
