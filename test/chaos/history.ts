/** What happened when, of everything that may explain a difference at the end. */
import { readFileSync } from "node:fs";

/** Lines of a container's history that a failure shows at most. */
const SHOWN = 160;
/** Lines of the agent's log that say nothing of why. */
const DULL = /"msg":"(?:connected|GET|request)/;

interface Entry {
  readonly time: number;
  /** The slot, node or process it is about. */
  readonly about: string;
  readonly text: string;
}

/** The history of a whole run. */
export class History {
  readonly #entries: Entry[] = [];

  /** Notes what happened just now. */
  note(about: string, text: string): void {
    this.#entries.push({ time: Date.now(), about, text });
  }

  /** What was said to be about something whose notes hold a word. */
  aboutsOf(word: string): string[] {
    return [...new Set(this.#entries.filter(({ text }) => text.includes(word)).map(({ about }) => about))];
  }

  /** Of some things, with the lines of an agent's log that contain one of these words, by time. */
  tell(abouts: readonly string[], log: { file: string; words: readonly string[] }): string[] {
    const said = agentLines(log.file, log.words);
    const noted = this.#entries.filter(({ about }) => abouts.includes(about));
    return [...noted, ...said]
      .sort((a, b) => a.time - b.time)
      .slice(-SHOWN)
      .map(({ time, about, text }) => `${new Date(time).toISOString().slice(11, 23)} ${about}: ${text}`);
  }
}

function agentLines(file: string, words: readonly string[]): Entry[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => words.some((word) => line.includes(word)) && !DULL.test(line)).flatMap(entryOf);
}

function entryOf(line: string): Entry[] {
  try {
    const { time, level: _, pid: __, hostname: ___, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
    const at = typeof time === "string" ? Date.parse(time) : Number(time);
    return [{ time: at, about: "agent", text: `${String(msg)} ${JSON.stringify(rest)}`.slice(0, 600) }];
  } catch {
    return [];
  }
}
