/** What of a Node.js process's memory is in use, asked of its debugger: the resident size is also what nobody has collected yet. */
import { Inspector } from "../support/inspector.ts";

export { ANY_PORT } from "../support/inspector.ts";

/**
 * Has a process that was started with {@link ANY_PORT} collect its garbage, and answers the bytes that are left on its heap.
 * @param logFile its standard error, where the debugger says how to reach it
 */
export async function liveMemory(pid: number, logFile: string): Promise<number> {
  const inspector = await Inspector.open(pid, logFile);
  try {
    // A second one takes what the first has only let go of.
    await inspector.call("HeapProfiler.collectGarbage");
    await inspector.call("HeapProfiler.collectGarbage");
    const { result } = await inspector.call<{ result: { value?: number } }>("Runtime.evaluate", {
      expression: "process.memoryUsage().heapUsed",
    });
    return result.value ?? NaN;
  } finally {
    inspector.close();
  }
}
