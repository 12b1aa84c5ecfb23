/** How the programs beside the tests are told what to do, and tell what they do. */

/** Says something to whoever runs it. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/**
 * A number from the environment.
 * @throws Error when it is none
 */
export function parameter(name: string, otherwise: number): number {
  const text = process.env[name] ?? "";
  const value = text === "" ? otherwise : Number(text);
  if (!Number.isFinite(value) || value < 0) throw new Error(`${name}=${text} is no number`);
  return value;
}
