/** The floor's own process: does what it is asked by the benchmark, and ends with it. */
import type { Ask, Say } from "./floor-peer.ts";
import { Floor, type FloorOptions } from "./floor.ts";

const floor = new Floor(JSON.parse(process.argv[2] ?? "") as FloorOptions);
/** Of each `restart` under way. */
const ended = new Map<number, () => void>();

function say(said: Say): void {
  process.send?.(said);
}

async function carryOut(ask: Ask): Promise<void> {
  switch (ask.verb) {
    case "up":
      return floor.up();
    case "start":
      return floor.start(ask.name, ask.shape);
    case "stop":
      return floor.stop(ask.name);
    case "restart":
      return floor.restart(ask.name, () => {
        const { promise, resolve } = Promise.withResolvers<undefined>();
        ended.set(ask.id, () => {
          resolve(undefined);
        });
        say({ id: ask.id, ready: true });
        return promise;
      });
    case "recreate":
      return floor.recreate(ask.name);
    case "remove":
      return floor.remove(ask.name);
    case "down":
      floor.close();
      return;
    case "ended":
      ended.get(ask.id)?.();
      ended.delete(ask.id);
  }
}

process.on("message", (ask: Ask) => {
  carryOut(ask).then(
    () => {
      if (ask.verb !== "ended") say({ id: ask.id, done: true, versions: floor.versions });
    },
    (error: unknown) => {
      say({ id: ask.id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    },
  );
});

// However the benchmark ends.
process.on("disconnect", () => {
  process.exit();
});
