/** A start's network: the namespace with its addresses, and the files that name hosts. */
import { addressProblem, type Attachment } from "../network/index.ts";
import { type OciMount, SpecError } from "../oci/index.ts";
import { toNeighbour } from "./neighbour.ts";
import type { Parts } from "./parts.ts";
import type { Joined } from "./peers.ts";
import type { Start } from "./start.ts";
import type { Undo } from "./undo.ts";

/**
 * The network namespace and the addresses; a container that is started again keeps those it has. Undefined in the node's
 * own network.
 *
 * @throws NetworkError; SpecError for an address that can't be
 */
export async function attachNetwork(parts: Parts, wish: Start, undo: Undo): Promise<Attachment | undefined> {
  const { id, applied, peers } = wish;
  if (peers.joined !== undefined) return joinNetwork(parts, wish, peers.joined, undo);
  const { mode = "Bridge", name: networkName, ipAddress, macAddress } = applied.spec.network ?? {};
  if (mode !== "Bridge" && mode !== "None") return undefined;
  const kept = wish.record === undefined ? undefined : await parts.network.status(id);
  if (kept !== undefined) return kept;
  if (networkName === undefined) checkAddress(parts, ipAddress);
  undo.defer(() => parts.network.detach(id));
  return parts.network.attach({ id, mode, ports: applied.spec.ports, networkName, ipAddress, macAddress });
}

/** An address that the node's own bridge can never give is the spec's mistake. */
function checkAddress({ bridgeSubnet }: Parts, ipAddress: string | undefined): void {
  const problem = ipAddress === undefined ? undefined : addressProblem(ipAddress, bridgeSubnet);
  if (problem !== undefined) throw new SpecError("spec.network.ipAddress", `${String(ipAddress)} ${problem}`);
}

/** The network of another container, which it keeps as long as that one has it. */
async function joinNetwork(parts: Parts, wish: Start, joined: Joined, undo: Undo): Promise<Attachment | undefined> {
  const { id, record } = wish;
  if (joined.hostNetwork) {
    await parts.network.detach(id);
    return undefined;
  }
  const isKept = record !== undefined && (await parts.network.isShared(id, joined.id));
  const kept = isKept ? await parts.network.status(id) : undefined;
  if (kept !== undefined) return kept;
  undo.defer(() => parts.network.detach(id));
  return parts.network.join(id, joined.id);
}

/** The files that name hosts: another container's with its network, or its own, which then tell of its neighbours. */
export async function writeNames(
  parts: Parts,
  wish: Start,
  network: Attachment | undefined,
): Promise<readonly OciMount[]> {
  const { id, applied, peers } = wish;
  if (peers.joined !== undefined) return parts.volumes.shareFiles(id, applied, peers.joined.id);
  const self = toNeighbour(wish, network, false);
  return parts.neighbours.writing(self, (hostsBlock) =>
    parts.volumes.writeFiles(id, applied, network === undefined ? undefined : { ...network, hostsBlock }),
  );
}
