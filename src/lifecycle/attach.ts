/** A start's network: the namespace with its addresses, and the files that name hosts. */
import { addressProblem, type Attachment } from "../network/index.ts";
import { type OciMount, SpecError } from "../oci/index.ts";
import { at } from "./failure.ts";
import { toNeighbour } from "./neighbour.ts";
import { phase } from "./observer.ts";
import type { Parts } from "./parts.ts";
import type { Joined } from "./peers.ts";
import type { Start } from "./start.ts";
import type { Undo } from "./undo.ts";

/** A start's network, of which the namespace is there. */
export interface StartNetwork {
  /** Undefined in the node's own network. */
  readonly netns: string | undefined;
  /** Its addresses, where they are there already. */
  readonly attachment?: Attachment;
  /** What is still to come: the addresses. It may come beside the making of the task, which must not run before. */
  readonly connect?: () => Promise<Attachment>;
}

/**
 * The network namespace, and the addresses where the runtime must find them there; a container that is started again keeps
 * those it has. Other addresses come while the runtime makes the task; Docker's come right after that.
 *
 * @throws NetworkError; SpecError for an address that can't be
 */
export async function openNetwork(parts: Parts, wish: Start, undo: Undo): Promise<StartNetwork> {
  const { id, applied, peers, record } = wish;
  if (peers.joined !== undefined) return joinNetwork(parts, wish, peers.joined, undo);
  const { mode = "Bridge", name: networkName, ipAddress, macAddress } = applied.spec.network ?? {};
  if (mode !== "Bridge" && mode !== "None") return { netns: undefined };
  const kept = record === undefined ? undefined : await parts.network.status(id);
  if (kept !== undefined) return { netns: kept.netns, attachment: kept };
  if (networkName === undefined) checkAddress(parts, ipAddress);
  undo.defer(() => parts.network.detach(id));
  const request = { id, mode, ports: applied.spec.ports, networkName, ipAddress, macAddress };
  const opened = await phase(parts, wish, "namespace", () => parts.network.open(request));
  const { netns, attachment, isPlain, connect } = opened;
  if (attachment !== undefined) return { netns, attachment };
  if (isPlain && !needsInterface(wish)) return { netns, connect };
  return { netns, attachment: await phase(parts, wish, "network", connect) };
}

/** Whether the runtime sets something on the container's interface: it must be there before the task is made. */
function needsInterface({ applied, record, restore }: Start): boolean {
  if (record !== undefined || restore !== undefined) return true;
  return applied.spec.securityContext?.sysctls?.some(({ name }) => name.startsWith("net")) === true;
}

/** An address that the node's own bridge can never give is the spec's mistake. */
function checkAddress({ bridgeSubnet }: Parts, ipAddress: string | undefined): void {
  const problem = ipAddress === undefined ? undefined : addressProblem(ipAddress, bridgeSubnet);
  if (problem !== undefined) throw new SpecError("spec.network.ipAddress", `${String(ipAddress)} ${problem}`);
}

/** The network of another container, which it keeps as long as that one has it. */
async function joinNetwork(parts: Parts, wish: Start, joined: Joined, undo: Undo): Promise<StartNetwork> {
  const { id, record } = wish;
  if (joined.hostNetwork) {
    await parts.network.detach(id);
    return { netns: undefined };
  }
  const isKept = record !== undefined && (await parts.network.isShared(id, joined.id));
  const kept = isKept ? await parts.network.status(id) : undefined;
  if (kept !== undefined) return { netns: kept.netns, attachment: kept };
  undo.defer(() => parts.network.detach(id));
  const attachment = await phase(parts, wish, "network", () => parts.network.join(id, joined.id));
  return { netns: attachment.netns, attachment };
}

/**
 * The files that name hosts: another container's with its network, or its own, which then tell of its neighbours. As long as
 * its addresses are to come they are empty, for {@link connectNetwork} to fill.
 */
export async function writeNames(parts: Parts, wish: Start, network: StartNetwork): Promise<readonly OciMount[]> {
  const { id, applied, peers } = wish;
  if (peers.joined !== undefined) return parts.volumes.shareFiles(id, applied, peers.joined.id);
  if (network.connect !== undefined) return parts.volumes.makeFiles(id, applied);
  return fillNames(parts, wish, network.attachment);
}

/** Gives the namespace its addresses, where they are to come, and the files their names. */
export async function connectNetwork(parts: Parts, wish: Start, { connect }: StartNetwork): Promise<void> {
  if (connect === undefined) return;
  const attachment = await phase(parts, wish, "network", () => at("network", connect));
  await at("storage", () => fillNames(parts, wish, attachment));
}

function fillNames(parts: Parts, wish: Start, network: Attachment | undefined): Promise<readonly OciMount[]> {
  const { id, applied } = wish;
  const self = toNeighbour(wish, network, false);
  return parts.neighbours.writing(self, (hostsBlock) =>
    parts.volumes.writeFiles(id, applied, network === undefined ? undefined : { ...network, hostsBlock }),
  );
}
