/** What of a Node.js process's memory is in use, asked of its debugger: the resident size is also what nobody has collected yet. */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** Flag that lets the debugger, which SIGUSR1 opens, have any port. */
export const ANY_PORT = "--inspect-port=127.0.0.1:0";

const TIMEOUT_MS = 30_000;
const LISTENING = /Debugger listening on (ws:\S+)/g;

type Answer = { id: number; result?: { result?: { value?: number } } };

/**
 * Has a process that was started with {@link ANY_PORT} collect its garbage, and answers the bytes that are left on its heap.
 * @param logFile its standard error, where the debugger says how to reach it
 */
export async function liveMemory(pid: number, logFile: string): Promise<number> {
  const socket = new WebSocket(await debuggerOf(pid, logFile));
  try {
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", reject);
    });
    // A second one takes what the first has only let go of.
    await call(socket, 1, "HeapProfiler.collectGarbage", {});
    await call(socket, 2, "HeapProfiler.collectGarbage", {});
    const { result } = await call(socket, 3, "Runtime.evaluate", { expression: "process.memoryUsage().heapUsed" });
    return result?.result?.value ?? NaN;
  } finally {
    socket.close();
  }
}

async function debuggerOf(pid: number, logFile: string): Promise<string> {
  const deadline = Date.now() + TIMEOUT_MS;
  const said = () => [...readFileSync(logFile, "utf8").matchAll(LISTENING)].at(-1)?.[1];
  process.kill(pid, "SIGUSR1");
  // Asked a second time, the same process says nothing new.
  for (;;) {
    const address = said();
    if (address !== undefined) return address;
    if (Date.now() > deadline) throw new Error(`process ${pid} opens no debugger`);
    await delay(20);
  }
}

function call(socket: WebSocket, id: number, method: string, params: object): Promise<Answer> {
  return new Promise((resolve) => {
    socket.addEventListener("message", ({ data }) => {
      const answer = JSON.parse(String(data)) as Answer;
      if (answer.id === id) resolve(answer);
    });
    socket.send(JSON.stringify({ id, method, params }));
  });
}
