/**
 * The containers that a start needs: the one whose network it joins, and those it is linked to. They must run (Docker's
 * rule); until they do, the start waits, and goes on when they have changed.
 */
import { isIPv4 } from "node:net";
import type { Container, ContainerSpec } from "../api/index.ts";
import { containerPath, isForbidden, isNotFound, isUnavailable } from "../kube/index.ts";
import { linkVariables, type OciSpec, visibleEnv, withLinks, withNetworkOf } from "../oci/index.ts";
import { type Link, linksOf, type Neighbour } from "./neighbour.ts";
import type { Parts } from "./parts.ts";
import { type Applied, keyOf, type Record, type Waiting } from "./record.ts";

/** What a start takes from other containers. */
export interface Peers {
  readonly joined?: Joined;
  /** Docker's link variables, `NAME=value`. */
  readonly links: readonly string[];
}

/** The container whose network is joined: its namespace, its names and its files are shared (Docker's rule). */
export interface Joined {
  readonly id: string;
  readonly hostname: string;
  readonly domainname?: string;
  /** It is in the node's own network. */
  readonly hostNetwork: boolean;
}

type Self = Pick<Applied, "namespace" | "name" | "spec">;

/** Milliseconds that the question after a container that is not on this node may take. */
const ASK_TIMEOUT_MS = 5000;

/** The keys of the containers that a spec refers to. */
export function neededKeys(namespace: string, spec: Pick<ContainerSpec, "network">): string[] {
  const { container } = spec.network ?? {};
  const joined = container === undefined ? [] : [keyOf({ namespace, name: container })];
  return [...joined, ...linksOf(namespace, spec).map(({ key }) => key)];
}

/**
 * Looks for the containers that a start needs. The answer is what has to be waited for when one of them is not as it must
 * be; the key is then looked at again with each change of theirs.
 *
 * @throws ContainerdError
 */
export async function peersOf(parts: Parts, key: string, self: Self): Promise<Peers | Waiting> {
  const { namespace, spec } = self;
  // First, so that a change that comes while they are looked at is not missed.
  parts.neighbours.need(key, neededKeys(namespace, spec));
  const { container } = spec.network ?? {};
  const joined = container === undefined ? undefined : await joinedPeer(parts, key, self, container);
  if (joined !== undefined && "reason" in joined) return joined;
  const links: string[] = [];
  for (const link of linksOf(namespace, spec)) {
    const variables = await linkedPeer(parts, key, self, link);
    if ("reason" in variables) return variables;
    links.push(...variables);
  }
  return { links, ...(joined === undefined ? {} : { joined }) };
}

/**
 * Whether the network that a running container has joined is no longer that of the container it names: that one was
 * recreated, or stopped and started again. As long as that one does not run, nothing is said.
 */
export async function hasMoved(
  parts: Pick<Parts, "neighbours" | "network">,
  { id, applied }: Record,
): Promise<boolean> {
  const name = applied.spec.network?.container;
  const peer = name === undefined ? undefined : parts.neighbours.get(keyOf({ namespace: applied.namespace, name }));
  return peer?.running === true && !(await parts.network.isShared(id, peer.id));
}

async function joinedPeer(parts: Parts, key: string, self: Self, name: string): Promise<Joined | Waiting> {
  const field = "spec.network.container";
  const peer = await runningPeer(parts, key, self, { field, key: keyOf({ namespace: self.namespace, name }) });
  if ("reason" in peer) return peer;
  const spec = await parts.records.spec(peer.id);
  const domainname = spec.linux.sysctl?.["kernel.domainname"];
  return {
    id: peer.id,
    hostname: spec.hostname ?? name,
    ...(domainname === undefined ? {} : { domainname }),
    hostNetwork: !spec.linux.namespaces.some(({ type }) => type === "network"),
  };
}

async function linkedPeer(parts: Parts, key: string, self: Self, link: Link): Promise<string[] | Waiting> {
  const field = "spec.network.links";
  const peer = await runningPeer(parts, key, self, { field, key: link.key });
  if ("reason" in peer) return peer;
  const cannot = (why: string): Waiting => waitFor(`${field}: container "${peer.name}" can't be linked to: ${why}`);
  if (peer.network === undefined) return cannot("only one with network.mode Bridge has an address of its own");
  const own = self.spec.network?.name ?? "";
  if (peer.network !== own) {
    return cannot(`it is in ${networkName(peer.network)}, this one in ${networkName(own)}: give both one network.name`);
  }
  const address = peer.addresses.find(isIPv4) ?? peer.addresses[0];
  if (address === undefined) return cannot("it has no address yet");
  const env = visibleEnv(await parts.records.spec(peer.id));
  return linkVariables(self.name, link.alias, { address, ports: peer.ports, env });
}

const networkName = (name: string): string => (name === "" ? "the network of the node's bridge" : `network ${name}`);

async function runningPeer(
  parts: Parts,
  key: string,
  self: Self,
  wanted: { field: string; key: string },
): Promise<Neighbour | Waiting> {
  const peer = parts.neighbours.get(wanted.key);
  if (peer?.running === true) return peer;
  const circle = parts.neighbours.circle(key);
  if (circle !== undefined) {
    const way = circle.map(nameIn).join(" → ");
    return waitFor(`${wanted.field}: ${way}: they wait for each other, and none can start: take one reference out`);
  }
  return waitFor(`${wanted.field}: ${await whyNotRunning(parts, key, self, wanted.key)}`);
}

async function whyNotRunning(parts: Parts, key: string, { namespace }: Self, wanted: string): Promise<string> {
  const name = nameIn(wanted);
  const here = `container "${name}" does not run: the start goes on as soon as it does`;
  if (parts.neighbours.has(wanted)) return here;
  try {
    const { spec, status } = await parts.api.get<Container>(containerPath(namespace, name), {
      timeoutMs: ASK_TIMEOUT_MS,
    });
    const nodeName = status?.nodeName ?? spec.nodeName;
    if (nodeName === parts.nodeName) return here;
    return `container "${name}" is on node "${nodeName}", this one on "${parts.nodeName}": they must be on one node`;
  } catch (error) {
    if (isUnavailable(error) || isForbidden(error)) return here;
    if (!isNotFound(error)) throw error;
    parts.references.wait(key, { path: containerPath(namespace), name });
    return `container "${name}" does not exist in namespace "${namespace}": create it on this node, and the start goes on`;
  }
}

function waitFor(message: string): Waiting {
  return { reason: "WaitingForContainer", message };
}

function nameIn(key: string): string {
  return key.slice(key.indexOf("/") + 1);
}

/** The runtime spec with what it has from other containers in the place of what it had. */
export function withPeers(spec: OciSpec, { joined, links }: Peers, netns: string | undefined): OciSpec {
  return withLinks(joined === undefined ? spec : withNetworkOf(spec, { ...joined, netns }), links);
}
