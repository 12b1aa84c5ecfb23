/**
 * Loaded into an agent's process (`--import`), it lets a test set the agent's clock, and no other: the milliseconds that it
 * is off stand in the file which `BERTH_TEST_CLOCK` names, read again at each SIGUSR2 and then removed. Timers go on, as they do when a
 * machine's clock is set.
 */
import { readFileSync, rmSync } from "node:fs";

const RealDate = Date;
const file = process.env["BERTH_TEST_CLOCK"] ?? "";
let offMs = 0;

class SetDate extends RealDate {
  constructor(...args: [] | [number | string | Date]) {
    if (args.length === 0) super(RealDate.now() + offMs);
    else super(...args);
  }

  static override now(): number {
    return RealDate.now() + offMs;
  }
}

process.on("SIGUSR2", () => {
  offMs = Number(readFileSync(file, "utf8"));
  rmSync(file);
});
globalThis.Date = SetDate as DateConstructor;
