/** A container as others on the node know it, and the lines that name it in their hosts files. */
import { type ContainerSpec, hostname } from "../api/index.ts";
import type { HostsLine } from "../network/index.ts";
import type { Instance } from "./decide.ts";
import { type Applied, keyOf } from "./record.ts";

/** A container as others know it. */
export interface Neighbour {
  readonly id: string;
  /** Its process runs, or is paused, and is not being stopped. */
  readonly running: boolean;
  /** When its process was started: a joined network may be another one since. */
  readonly since?: string;
  readonly namespace: string;
  readonly name: string;
  readonly hostname: string;
  /** The network in which it has its addresses; absent where it has none of its own. */
  readonly network?: string;
  readonly addresses: readonly string[];
  /** The ports that its image and its spec name, as `80/tcp`. */
  readonly ports: readonly string[];
  readonly links: readonly Link[];
}

/** A link of a container, by the key of the one it leads to. */
export interface Link {
  readonly key: string;
  readonly alias: string;
}

/** A line with the container that it is about. */
export interface OwnedLine extends HostsLine {
  readonly id: string;
}

/** Names, as on a Docker network of one's own: each container's own, and its host name where no other is called so. */
export function linesOfAll(neighbours: readonly Neighbour[]): OwnedLine[] {
  const taken = new Set(neighbours.map(({ name }) => name));
  return neighbours.flatMap((each) => {
    const names = taken.has(each.hostname) ? [each.name] : [each.name, each.hostname];
    taken.add(each.hostname);
    return linesOf(each, names).map((line) => ({ ...line, id: each.id }));
  });
}

/** What of a container others find in their hosts files. */
export function namesOf(neighbour: Neighbour | undefined): unknown {
  if (neighbour?.network === undefined) return undefined;
  const { id, namespace, name, hostname: own, network, addresses, links } = neighbour;
  return { id, namespace, name, own, network, addresses, links };
}

/** Names for each of a container's addresses; each name once. */
export function linesOf({ addresses }: Neighbour, names: readonly string[]): HostsLine[] {
  return addresses.map((address) => ({ address, names: [...new Set(names)] }));
}

/** In which network, of which namespace, a container is named. */
export function networkOf({ namespace, network }: Neighbour): string {
  return `${namespace}/${network ?? ""}`;
}

/** What others may know of a container: by its record, whether it runs, and its addresses as long as it holds them. */
export function neighbourOf({ record, task }: Instance, network: Addressed | undefined): Neighbour {
  const alive = task?.status === "running" || task?.status === "paused" || task?.status === "pausing";
  // One that is being stopped takes its network away in a moment.
  const running = alive && record.state.stopping === undefined;
  const since = record.state.run?.startedAt;
  return { ...toNeighbour(record, network, running), ...(since === undefined ? {} : { since }) };
}

interface Addressed {
  readonly ipAddresses: readonly string[];
}

/** A container as others will know it. */
export function toNeighbour(
  { id, applied }: { readonly id: string; readonly applied: Applied },
  network: Addressed | undefined,
  running: boolean,
): Neighbour {
  const { namespace, name, spec, image } = applied;
  const isBridge = (spec.network?.mode ?? "Bridge") === "Bridge";
  const ofSpec = (spec.ports ?? []).map(({ containerPort, protocol = "TCP" }) => `${containerPort}/${protocol}`);
  return {
    id,
    running,
    namespace,
    name,
    hostname: hostname(applied),
    ...(isBridge ? { network: spec.network?.name ?? "" } : {}),
    addresses: isBridge ? (network?.ipAddresses ?? []) : [],
    ports: [...(image.exposedPorts ?? []), ...ofSpec].map((port) => port.toLowerCase()),
    links: linksOf(namespace, spec),
  };
}

/** A container's links by key, in the order of the spec. */
export function linksOf(namespace: string, spec: Pick<ContainerSpec, "network">): Link[] {
  return (spec.network?.links ?? []).map(({ container, alias = container }) => ({
    key: keyOf({ namespace, name: container }),
    alias,
  }));
}
