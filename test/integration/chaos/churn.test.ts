// The churn of `make test-chaos`, beside the other tests: it has a cluster of its own.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { expect, it } from "@jest/globals";
import { seedOf } from "../../support/seed.ts";

const PROGRAM = resolve(import.meta.dirname, "../../chaos/main.ts");
const MINUTES = process.env["MINUTES"] ?? "5";
/** A round that fails may wait for its end as long as it may. */
const TIMEOUT_MS = (Number(MINUTES) + 15) * 60_000;

it(
  "whatever is killed, all comes to what was wished for, and nothing is left",
  async () => {
    const SEED = String(await seedOf("SEED"));
    const chaos = spawn(process.execPath, [PROGRAM], {
      stdio: ["ignore", "pipe", "inherit"],
      // The files beside it count their nodes from what may be set.
      env: { ...process.env, SEED, MINUTES, BERTH_TEST_FIRST_INDEX: "" },
    });
    // Its last line is for whoever counts; here it is one test.
    for await (const line of createInterface(chaos.stdout)) process.stderr.write(`chaos: ${line}\n`);
    if (chaos.exitCode === null && chaos.signalCode === null) await once(chaos, "exit");
    expect({ code: chaos.exitCode, signal: chaos.signalCode }).toEqual({ code: 0, signal: null });
  },
  TIMEOUT_MS,
);
