// A container's network from its first step to its last: namespace, loopback, CNI, and the record of all that.
import { mkdir, readdir, rm, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Logger } from "pino";
import type { Port, PortStatus } from "../api/index.ts";
import { orMissing } from "../node/index.ts";
import { IF_NAME, addresses } from "./addresses.ts";
import type { Addresses } from "./addresses.ts";
import { AttachmentRecords } from "./attachments.ts";
import type { AttachmentRecord } from "./attachments.ts";
import { bridgeNetwork, checkBridgeOptions } from "./bridge.ts";
import { Cni } from "./cni.ts";
import type { CniAttachment, CniResult } from "./cni.ts";
import { hasCapability, loadNetwork } from "./config.ts";
import type { NetworkConfigList, PortMapping } from "./config.ts";
import { NetworkError, explain, isAddressMissing } from "./errors.ts";
import { checkGiven, fixedArgs, fixedConfig } from "./fixed.ts";
import { ensureMasquerade, forwardPolicyIsDrop, removeBridge } from "./host.ts";
import { createNetns, disableIPv6, isSameNetns, netnsExists, removeNetns, shareNetns } from "./netns.ts";
import { collide, formatPort, portMappings, probePort, statusProtocol } from "./ports.ts";
import { Spares, sparesIn } from "./spares.ts";

const CNI_VERSION = "1.0.0";
/** Milliseconds for which a look at the masquerade rule is good enough while many containers are to come. */
const MASQUERADE_MS = 1000;

export type NetworkOptions = {
  cniBinDirs: readonly string[];
  cniConfDir: string;
  bridgeName: string;
  bridgeSubnet: string;
  stateDir: string;
  /** Whether many more containers are about to come. */
  isBusy?: () => boolean;
  /** How many networks of its own are kept ready at the most ({@link Spares}); none when absent. */
  spareNetworks?: number;
  /** Resolves when there is nothing more urgent to do than to make those. */
  idle?: () => Promise<void>;
  logger: Logger;
};

export type AttachRequest = {
  id: string;
  /** `None` is a namespace with loopback alone. (Host mode needs no attachment.) */
  mode: "Bridge" | "None";
  ports?: readonly Port[] | undefined;
  /** A network of the administrator's, by the name in its conflist, instead of the agent's bridge. */
  networkName?: string | undefined;
  /** A fixed address of the network, and a fixed MAC address. */
  ipAddress?: string | undefined;
  macAddress?: string | undefined;
};

/** A container's network as it stands. */
export type Attachment = Addresses & {
  /** Path of the network namespace. */
  netns: string;
  ports: PortStatus[];
};

/** A network namespace whose addresses may still be to come. */
export type OpenNetwork = {
  /** Path of the network namespace. */
  netns: string;
  /** Its addresses, when it was made ahead. */
  attachment?: Attachment;
  /** It is to be on the agent's own bridge: the runtime has nothing to set on its interface. */
  isPlain: boolean;
  /**
   * Gives it its addresses; after an error nothing of the attachment is left.
   * @throws NetworkError
   */
  connect: () => Promise<Attachment>;
};

/** Attaches containers to their networks. Several ids may be worked on at once, but only one call an id at a time. */
export class Network {
  readonly #options: NetworkOptions;
  readonly #cni: Cni;
  readonly #records: AttachmentRecords;
  readonly #spares: Spares;
  readonly #logger: Logger;
  // Who has which port of the node: also those whose attach is still under way, which no rule shows yet.
  readonly #ports = new Map<string, readonly PortMapping[]>();
  #firewall = false;
  // Whether the first ADD with a port went well.
  #firstPortmap: Promise<boolean> | undefined;
  // The last look at the masquerade rule, when it began and whether it has ended.
  #masquerade: { readonly at: number; readonly look: Promise<void>; over: boolean } | undefined;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#cni = new Cni(options.cniBinDirs);
    this.#records = new AttachmentRecords(join(options.stateDir, "cni"));
    this.#logger = options.logger;
    this.#spares = new Spares({
      directory: join(options.stateDir, "spares"),
      most: sparesIn(Number(options.bridgeSubnet.split("/")[1]), options.spareNetworks ?? 0),
      idle: options.idle ?? (() => Promise.resolve()),
      isBusy: options.isBusy ?? (() => false),
      cni: () => ({ ifName: IF_NAME, list: this.#ownNetwork(false), runtimeConfig: {} }),
      look: () => this.#ensureMasquerade(),
      connect: (record) => this.#add(record),
      disconnect: (record) => this.#takeDown(record),
      logger: options.logger,
    });
  }

  /**
   * Reads what an earlier agent left and checks that the default network can work. After an error, `attach` may still be
   * called: it works as soon as what was missing is there.
   *
   * @throws NetworkError naming the flag or the plugin that is wrong
   */
  async prepare(): Promise<void> {
    let isInUse = false;
    for (const id of await this.#records.ids()) {
      const record = await this.#records.read(id);
      if (record !== undefined) this.#ports.set(id, record.ports);
      isInUse ||= record?.cni?.list.name === this.#options.bridgeName;
    }
    checkBridgeOptions(this.#options);
    if (await forwardPolicyIsDrop()) {
      this.#firewall = await this.#cni.find("firewall").then(
        () => true,
        () => false,
      );
      this.#logger.info({ firewall: this.#firewall }, "the node's FORWARD policy is DROP");
    }
    await this.#spares.load();
    if (isInUse || this.#spares.size > 0) await this.#ensureMasquerade();
    const plugins = ["bridge", "host-local", "portmap", ...(this.#firewall ? ["firewall"] : [])];
    try {
      await Promise.all(plugins.map((plugin) => this.#checkVersion(plugin)));
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /**
   * Gives a container its network namespace and its addresses. What an earlier attempt left for this id is cleared first;
   * after an error nothing is left.
   *
   * @throws NetworkError
   */
  async attach(request: AttachRequest): Promise<Attachment> {
    return (await this.open(request)).connect();
  }

  /**
   * The first half of {@link attach}: the namespace. What is to live in it can be made beside the second half, of which there is
   * nothing left to do when the network was made ahead.
   *
   * @throws NetworkError
   */
  async open(request: AttachRequest): Promise<OpenNetwork> {
    await this.detach(request.id);
    const spare = isOrdinary(request) ? await this.#takeSpare(request.id) : undefined;
    if (spare !== undefined)
      return { netns: spare.netns, attachment: spare, isPlain: true, connect: () => Promise.resolve(spare) };
    const record = await this.#plan(request);
    const netns = this.#netnsPath(request.id);
    this.#claimPorts(record);
    const isPlain = record.cni?.list.name === this.#options.bridgeName;
    try {
      await this.#records.write(record);
      await Promise.all(record.ports.map(probePort));
      await createNetns(netns);
    } catch (error) {
      await this.#undo(request.id);
      throw this.#explain(error, request.networkName);
    }
    return { netns, isPlain, connect: () => this.#connect(request, record) };
  }

  /**
   * Lets a container into the namespace that another one is in. What an earlier attempt left for this id is cleared first;
   * after an error nothing is left.
   *
   * @param peer the container to join, which has a namespace of its own or has joined one
   * @throws NetworkError when it has none
   */
  async join(id: string, peer: string): Promise<Attachment> {
    await this.detach(id);
    const joined = (await this.#records.read(peer))?.joined ?? peer;
    const record: AttachmentRecord = { id, ports: [], joined, complete: false };
    try {
      if (!(await netnsExists(this.#netnsPath(peer))))
        throw new NetworkError(`container ${peer} has no network to join`);
      await this.#records.write(record);
      await shareNetns(this.#netnsPath(peer), this.#netnsPath(id));
      await this.#records.write({ ...record, complete: true });
      return await this.#joinedAttachment(id, joined);
    } catch (error) {
      await this.#undo(id);
      throw this.#explain(error);
    }
  }

  /** Whether two containers are in one network: one namespace, or both without one of their own in the node's. */
  async isShared(id: string, other: string): Promise<boolean> {
    const [one, two] = [this.#netnsPath(id), this.#netnsPath(other)];
    if (await netnsExists(one)) return isSameNetns(one, two);
    return !(await netnsExists(two));
  }

  /** The attachment as `attach` answered it; undefined when it was never completed or its namespace is gone. */
  async status(id: string): Promise<Attachment | undefined> {
    const record = await this.#records.read(id);
    if (record?.complete !== true || !(await netnsExists(this.#netnsPath(id)))) return undefined;
    return record.joined === undefined ? this.#attachment(record) : this.#joinedAttachment(id, record.joined);
  }

  /**
   * Takes a container's network down and forgets it. Safe to repeat, after a crash at any point and after a reboot.
   *
   * @throws NetworkError when a plugin fails; the record then stays for the next try
   */
  async detach(id: string): Promise<void> {
    const record = await this.#records.read(id);
    try {
      if (record !== undefined) await this.#takeDown(record);
      await removeNetns(this.#netnsPath(id));
    } catch (error) {
      throw this.#explain(error, record?.cni?.list.name);
    }
    await this.#records.remove(id);
    this.#ports.delete(id);
  }

  /** Gives back what was made ahead and is nobody's, and makes no more. Containers keep what they have. */
  close(): Promise<void> {
    return this.#spares.close();
  }

  /** The ids of all containers that hold a namespace, an address or a record. */
  async list(): Promise<string[]> {
    const namespaces = (await orMissing(readdir(join(this.#options.stateDir, "netns")))) ?? [];
    return [...new Set([...(await this.#records.ids()), ...namespaces])];
  }

  /**
   * Leaves the node as it was before the first attach: every attachment, the bridge, and the chains that plugins keep
   * for the next container. For taking Berth off a node; not needed between two agents.
   *
   * @throws NetworkError
   */
  async teardown(): Promise<void> {
    await this.#spares.load();
    await this.#spares.giveBack();
    for (const id of await this.list()) await this.detach(id);
    await removeBridge(this.#options.bridgeName);
    this.#firstPortmap = undefined;
    this.#masquerade = undefined;
    await rm(this.#addressDir(), { recursive: true, force: true });
  }

  async #plan(request: AttachRequest): Promise<AttachmentRecord> {
    const { id, mode, ports, networkName } = request;
    if (mode === "None") return { id, ports: [], complete: false };
    const portList = portMappings(ports ?? []);
    const list =
      networkName === undefined
        ? this.#ownNetwork(portList.length > 0)
        : await loadNetwork(this.#options.cniConfDir, networkName);
    // Before anything is made, which would then have to be undone by the same missing plugin.
    await this.#cni.require(list).catch((error: unknown) => {
      throw this.#explain(error, list.name);
    });
    if (portList.length > 0 && !hasCapability(list, "portMappings")) {
      const advice = `add the plugin portmap to it, or leave out spec.ports[].hostPort`;
      throw new NetworkError(
        `network ${list.name}: its configuration has no plugin with the capability portMappings: ${advice}`,
      );
    }
    const runtimeConfig = { ...(portList.length > 0 ? { portMappings: portList } : {}), ...fixedConfig(request) };
    const args = fixedArgs(request, list);
    const cni = { ifName: IF_NAME, list, runtimeConfig, ...(args === undefined ? {} : { args }) };
    return { id, ports: portList, cni, complete: false };
  }

  /** The second half of an attach. */
  async #connect(request: AttachRequest, record: AttachmentRecord): Promise<Attachment> {
    try {
      const result = await this.#setUpInRoom(request, record);
      checkGiven(request, result);
      const complete = { ...record, ...(result === undefined ? {} : { result }), complete: true };
      await this.#records.write(complete);
      return this.#attachment(complete);
    } catch (error) {
      await this.#undo(request.id);
      throw (await this.#addressTaken(request)) ?? this.#explain(error, request.networkName);
    }
  }

  /** One of the networks made ahead, under the path of the container's own. */
  async #takeSpare(id: string): Promise<Attachment | undefined> {
    const record = await this.#spares.take(id, this.#records);
    this.#spares.fill();
    if (record === undefined) return undefined;
    const netns = this.#netnsPath(id);
    try {
      await mkdir(dirname(netns), { recursive: true, mode: 0o711 });
      await symlink(this.#namespaceOf(record), netns);
    } catch (error) {
      await this.#undo(id);
      throw this.#explain(error);
    }
    return this.#attachment(record);
  }

  /** Whoever asks comes before what was made ahead, should that have the address that is missing. */
  async #setUpInRoom({ ipAddress }: AttachRequest, record: AttachmentRecord): Promise<CniResult | undefined> {
    try {
      return await this.#setUp(record);
    } catch (error) {
      const cni = this.#cniAttachment(record);
      if (cni?.list.name !== this.#options.bridgeName || !isAddressMissing(error)) throw error;
      if (!(await this.#spares.giveBack(ipAddress))) throw error;
      // The namespace stays: a task may be in the making in it.
      await this.#cni.del(cni, undefined);
      return this.#setUp(record);
    }
  }

  /** Takes down what a record leads to, but for the record. */
  async #takeDown(record: AttachmentRecord): Promise<void> {
    const cni = this.#cniAttachment(record);
    const netns = this.#namespaceOf(record);
    // A namespace that is gone is the empty string to DEL (section 2, "CNI_NETNS"): what lies outside is still freed.
    if (cni !== undefined) await this.#cni.del((await netnsExists(netns)) ? cni : { ...cni, netns: "" }, record.result);
    await removeNetns(netns);
  }

  /** What the plugins make, beside a look at the masquerade rule: it may have been flushed since the last container came. */
  async #setUp(record: AttachmentRecord): Promise<CniResult | undefined> {
    const isOwn = record.cni?.list.name === this.#options.bridgeName;
    // An undo begins when both have ended.
    const [added, looked] = await Promise.allSettled([this.#add(record), isOwn ? this.#ensureMasquerade() : undefined]);
    if (added.status === "rejected") throw added.reason;
    if (looked.status === "rejected") throw looked.reason;
    return added.value;
  }

  async #add(record: AttachmentRecord): Promise<CniResult | undefined> {
    const cni = this.#cniAttachment(record);
    if (cni === undefined) return undefined;
    const result = await this.#runAdd(cni);
    // The bridge has no IPv6.
    if (cni.list.name === this.#options.bridgeName) await disableIPv6(cni.netns, IF_NAME);
    return result;
  }

  /**
   * Makes the masquerade rule unless it is there. Attaches at the same moment share a look; while many are to come, so do
   * those of a second.
   */
  #ensureMasquerade(): Promise<void> {
    const { bridgeName, bridgeSubnet, isBusy } = this.#options;
    const now = performance.now();
    const last = this.#masquerade;
    if (last !== undefined && (!last.over || (isBusy?.() === true && now - last.at < MASQUERADE_MS))) return last.look;
    const begun = { at: now, over: false, look: ensureMasquerade(bridgeName, bridgeSubnet) };
    this.#masquerade = begun;
    const onEnd = (isMade: boolean): void => {
      begun.over = true;
      // Good enough for nobody who comes now.
      if (!isMade) this.#masquerade = undefined;
    };
    begun.look.then(
      () => {
        onEnd(true);
      },
      () => {
        onEnd(false);
      },
    );
    return begun.look;
  }

  /** The error for a fixed address that another container has, where that is why an attach failed. */
  async #addressTaken({ id, networkName, ipAddress }: AttachRequest): Promise<NetworkError | undefined> {
    if (ipAddress === undefined) return undefined;
    const name = networkName ?? this.#options.bridgeName;
    for (const other of await this.#records.ids()) {
      const record = await this.#records.read(other);
      if (other === id || record?.cni?.list.name !== name) continue;
      if (!addresses(record.result).ipAddresses.includes(ipAddress)) continue;
      return new NetworkError(
        `spec.network.ipAddress: ${ipAddress} is taken by container ${other}: remove it or choose another address`,
      );
    }
    return undefined;
  }

  // Without an await between look and claim, so that of two containers only one gets the port.
  #claimPorts(record: AttachmentRecord): void {
    for (const [id, taken] of this.#ports) {
      const port = record.ports.find((wanted) => taken.some((other) => collide(wanted, other)));
      if (port !== undefined) {
        throw new NetworkError(
          `hostPort ${formatPort(port)} is taken by container ${id}: remove it or choose another hostPort`,
        );
      }
    }
    this.#ports.set(record.id, record.ports);
  }

  // portmap looks for its jump rules and then inserts them: of several first ADDs at once each would insert its own. So
  // the first of this agent's life runs alone.
  async #runAdd(cni: CniAttachment): Promise<CniResult> {
    if (cni.runtimeConfig.portMappings === undefined) return this.#cni.add(cni);
    const first = this.#firstPortmap;
    // When the first one has failed, another one is it.
    if (first !== undefined) return (await first) ? this.#cni.add(cni) : this.#runAdd(cni);
    const result = this.#cni.add(cni);
    this.#firstPortmap = result.then(
      () => true,
      () => {
        this.#firstPortmap = undefined;
        return false;
      },
    );
    return result;
  }

  async #undo(id: string): Promise<void> {
    try {
      await this.detach(id);
    } catch (error) {
      this.#logger.warn(
        { err: error, id },
        "a failed attach could not be undone; the next attach or detach tries again",
      );
    }
  }

  async #checkVersion(plugin: string): Promise<void> {
    const versions = await this.#cni.versions(plugin);
    if (!versions.includes(CNI_VERSION)) {
      throw new Error(`CNI plugin ${plugin} speaks ${versions.join(", ")}; ${CNI_VERSION} is needed, update it`);
    }
  }

  #cniAttachment(record: AttachmentRecord): CniAttachment | undefined {
    return record.cni && { ...record.cni, containerId: record.spare ?? record.id, netns: this.#namespaceOf(record) };
  }

  #attachment(record: AttachmentRecord): Attachment {
    return {
      netns: this.#netnsPath(record.id),
      ...addresses(record.result),
      ports: record.ports.map((port) => ({ ...port, protocol: statusProtocol(port) })),
    };
  }

  /** Addresses are told as long as their owner is in the namespace still. */
  async #joinedAttachment(id: string, joined: string): Promise<Attachment> {
    const netns = this.#netnsPath(id);
    const owner = await this.#records.read(joined);
    const shared = owner?.complete === true && (await isSameNetns(netns, this.#netnsPath(joined)));
    return { netns, ...addresses(shared ? owner.result : undefined), ports: [] };
  }

  #explain(error: unknown, name?: string): NetworkError {
    const { bridgeName, bridgeSubnet } = this.#options;
    if (name === undefined || name === bridgeName) return explain(error, { name: bridgeName, subnet: bridgeSubnet });
    return explain(error, { name });
  }

  /** The agent's own bridge. */
  #ownNetwork(withPorts: boolean): NetworkConfigList {
    return bridgeNetwork({ ...this.#options, addressDir: this.#addressDir(), firewall: this.#firewall }, withPorts);
  }

  /** Where a record's namespace is mounted: at the container's own path, or at the one that leads there. */
  #namespaceOf({ id, spare }: AttachmentRecord): string {
    return spare === undefined ? this.#netnsPath(id) : this.#spares.path(spare);
  }

  #netnsPath(id: string): string {
    return join(this.#options.stateDir, "netns", id);
  }

  #addressDir(): string {
    return join(this.#options.stateDir, "cni", "networks");
  }
}

/** Whether it asks for no more than any container of the agent's own bridge gets. */
function isOrdinary({ mode, ports = [], networkName, ipAddress, macAddress }: AttachRequest): boolean {
  const wishes = [networkName, ipAddress, macAddress].filter((wish) => wish !== undefined);
  return mode === "Bridge" && ports.length + wishes.length === 0;
}
