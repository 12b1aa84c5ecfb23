/** The debugger of a Node.js process of another's, which is opened when it is first asked for something. */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** Flag that lets the debugger, which SIGUSR1 opens, have any port. */
export const ANY_PORT = "--inspect-port=127.0.0.1:0";

const TIMEOUT_MS = 30_000;
const POLL_MS = 20;
const LISTENING = /Debugger listening on (ws:\S+)/g;

interface Answer<T> {
  readonly id: number;
  readonly result?: T;
  readonly error?: { readonly message: string };
}

/** A session with the debugger of one process. */
export class Inspector {
  readonly #socket: WebSocket;
  #calls = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /**
   * Opens the debugger of a process that was started with {@link ANY_PORT}.
   * @param logFile its standard error, where the debugger says how to reach it
   */
  static async open(pid: number, logFile: string): Promise<Inspector> {
    const socket = new WebSocket(await debuggerOf(pid, logFile));
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => {
        reject(new Error(`the debugger of process ${pid} can't be reached`));
      });
    });
    return new Inspector(socket);
  }

  /**
   * Calls a method of the Chrome DevTools Protocol and answers its result.
   * @throws Error with the debugger's words
   */
  call<T>(method: string, params: object = {}): Promise<T> {
    const id = ++this.#calls;
    return new Promise((resolve, reject) => {
      const listener = ({ data }: MessageEvent): void => {
        const answer = JSON.parse(String(data)) as Answer<T>;
        if (answer.id !== id) return;
        this.#socket.removeEventListener("message", listener);
        if (answer.error === undefined) resolve(answer.result as T);
        else reject(new Error(`${method}: ${answer.error.message}`));
      };
      this.#socket.addEventListener("message", listener);
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  close(): void {
    this.#socket.close();
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
    await delay(POLL_MS);
  }
}
