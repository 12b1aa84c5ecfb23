/** Docker's link variables: what a container finds in its environment of another one that it is linked to. */
import type { OciSpec } from "./types.ts";

/** A container that is linked to, as far as the variables tell of it. */
export interface LinkedPeer {
  readonly address: string;
  /** `number/protocol`, as an image's EXPOSE has them; what is no such thing is left out. */
  readonly ports: readonly string[];
  /** Its own variables, `NAME=value`: none whose value comes from a Secret. */
  readonly env: readonly string[];
}

/** Annotations of a runtime spec: names of variables, a list in JSON. */
const LINKS = "berth.dev/link-variables";
const SECRETS = "berth.dev/secret-variables";

/** What is each image's own, or the runtime's: Docker does not tell others of it. */
const PRIVATE = new Set(["HOME", "PATH", "HOSTNAME", "TERM"]);

interface LinkedPort {
  readonly number: number;
  readonly protocol: string;
}

/**
 * The variables of one link, in Docker's form.
 *
 * @param self the name of the container that is given them
 */
export function linkVariables(self: string, alias: string, { address, ports, env }: LinkedPeer): string[] {
  const prefix = alias.toUpperCase().replaceAll("-", "_");
  const sorted = portsOf(ports);
  const url = ({ number, protocol }: LinkedPort): string => `${protocol}://${address}:${number}`;
  const named = ({ number, protocol }: LinkedPort): string => `${prefix}_PORT_${number}_${protocol.toUpperCase()}`;
  return [
    ...sorted.slice(0, 1).map((port) => `${prefix}_PORT=${url(port)}`),
    ...sorted.flatMap((port) => [
      `${named(port)}=${url(port)}`,
      `${named(port)}_ADDR=${address}`,
      `${named(port)}_PORT=${port.number}`,
      `${named(port)}_PROTO=${port.protocol}`,
    ]),
    ...rangesOf(sorted).flatMap(([first, last]) => [
      `${named(first)}_START=${url(first)}`,
      `${named(first)}_PORT_START=${first.number}`,
      `${named(first)}_END=${url(last)}`,
      `${named(first)}_PORT_END=${last.number}`,
    ]),
    `${prefix}_NAME=/${self}/${alias}`,
    ...env.filter((entry) => entry.includes("=")).map((entry) => `${prefix}_ENV_${entry}`),
  ];
}

/** TCP before the others, then by number: the first is the one that the alias's own `_PORT` tells of. */
function portsOf(ports: readonly string[]): LinkedPort[] {
  const found = [...new Set(ports)].flatMap((port) => {
    const [, number, protocol = "tcp"] = /^(\d+)(?:\/(tcp|udp|sctp))?$/i.exec(port) ?? [];
    return number === undefined ? [] : [{ number: Number(number), protocol: protocol.toLowerCase() }];
  });
  const order = ({ protocol }: LinkedPort): string => (protocol === "tcp" ? "" : protocol);
  return found.sort((a, b) => order(a).localeCompare(order(b)) || a.number - b.number);
}

/** First and last of the runs of two or more ports, one after the other, of one protocol. */
function rangesOf(sorted: readonly LinkedPort[]): [LinkedPort, LinkedPort][] {
  const runs: [LinkedPort, LinkedPort][] = [];
  for (const port of sorted) {
    const run = runs.at(-1);
    if (run?.[1].number === port.number - 1 && run[1].protocol === port.protocol) run[1] = port;
    else runs.push([port, port]);
  }
  return runs.filter(([first, last]) => first !== last);
}

/**
 * The spec with these link variables in the place of those it had. Variables of the image and the spec win over links
 * (Docker's rule); the spec's annotation tells which are links'.
 */
export function withLinks(spec: OciSpec, links: readonly string[]): OciSpec {
  const earlier = namesIn(spec, LINKS);
  const own = spec.process.env.filter((entry) => !earlier.has(nameOf(entry)));
  const taken = new Set(own.map(nameOf));
  const added = new Map(links.filter((entry) => !taken.has(nameOf(entry))).map((entry) => [nameOf(entry), entry]));
  return {
    ...annotated(spec, LINKS, [...added.keys()]),
    process: { ...spec.process, env: [...own, ...added.values()] },
  };
}

/** The spec with a note of the variables whose values come from Secrets: they are told to no other container. */
export function withSecretNames(spec: OciSpec, names: Iterable<string>): OciSpec {
  return annotated(spec, SECRETS, [...names]);
}

/** The variables of a container that those it is linked from may see: the image's and the spec's, without secrets. */
export function visibleEnv(spec: OciSpec): string[] {
  const hidden = new Set([...PRIVATE, ...namesIn(spec, LINKS), ...namesIn(spec, SECRETS)]);
  return spec.process.env.filter((entry) => !hidden.has(nameOf(entry)));
}

function annotated(spec: OciSpec, key: string, names: readonly string[]): OciSpec {
  const { [key]: _, ...others } = spec.annotations ?? {};
  return { ...spec, annotations: { ...others, ...(names.length === 0 ? {} : { [key]: JSON.stringify(names) }) } };
}

function namesIn({ annotations }: OciSpec, key: string): Set<string> {
  // What stands under the key was written by `annotated`.
  return new Set(JSON.parse(annotations?.[key] ?? "[]") as string[]);
}

function nameOf(entry: string): string {
  const end = entry.indexOf("=");
  return end === -1 ? entry : entry.slice(0, end);
}
