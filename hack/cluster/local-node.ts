// One node of the local cluster: a containerd of its own and the agent that drives it. Everything it has on the machine
// carries its number, so that several nodes, of several clusters, live side by side.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { isMounted, run } from "../../src/node/index.ts";
import { boot, onMachine, sinceBoot } from "./boot.ts";
import { containerdConfig } from "./containerd-config.ts";
import { Daemon, DaemonError, killAll, processesNaming } from "./daemon.ts";
import { joinMachine, leaveMachine } from "./machine.ts";
import { removeTraces } from "./traces.ts";
import { findTools } from "./tools.ts";
import type { ContainerdVersion, Tools } from "./tools.ts";

const CONTAINERD_READY_TIMEOUT_MS = 20_000;
const AGENT_READY_TIMEOUT_MS = 20_000;
/** As API.md has it: SIGTERM ends the agent within 5 s. */
const AGENT_STOP_TIMEOUT_MS = 7000;
const METRICS_PORT = 19_000;
const ROOT = resolve(import.meta.dirname, "../..");

/** The environment variable that names Berth's compiled program, which {@link AGENT} and the commands then are. */
export const PROGRAM = "BERTH_PROGRAM";
/** Berth's program: the compiled one where one is named, else the checkout's source, which takes three times the CPU to start. */
export const MAIN = process.env[PROGRAM] ?? join(ROOT, "src/main.ts");
/** Node.js' flags for the agent, as the program itself names them. */
const NODE_FLAGS = (/^#!\S+ -S node (.*)$/m.exec(readFileSync(MAIN, "utf8"))?.[1] ?? "").split(" ").filter(Boolean);
/** What runs Berth's program, as a command; the agent; and the agent as its source. */
export const BERTH = [process.execPath, ...NODE_FLAGS, MAIN] as const;
export const AGENT: readonly [string, ...string[]] = [...BERTH, "agent"];
export const AGENT_SOURCE: readonly [string, ...string[]] = [
  process.execPath,
  ...NODE_FLAGS,
  join(ROOT, "src/main.ts"),
  "agent",
];

export type LocalNodeOptions = {
  /** Its directory on disk, with everything a reboot would keep. Another process can open the node again by it. */
  dir: string;
  /** 1 to 254, unique on this machine: its subnet, bridge, containerd namespace, cgroup and port follow from it. */
  index: number;
  /** The nodeName of its Containers; `node-<index>` if absent. */
  name?: string;
  containerd?: ContainerdVersion;
  /** Authority that containerd trusts besides the machine's: the registry's. */
  caFile?: string;
  /** The agent's credentials. */
  kubeconfig?: string;
  /** Folder of hosts.toml files for pulls; leave it out for containerd 1.7. */
  registryHostsDir?: string;
  /** The agent's program with its subcommand; {@link AGENT} if absent. */
  agent?: readonly [string, ...string[]] | undefined;
  /** It is a machine of its own as far as processes and mounts go: its containerd is below a first process, /proc/1. */
  asMachine?: boolean;
  /** More of the agent's flags, without the dashes. They win over those that follow from the options above. */
  flags?: Readonly<Record<string, string>>;
  tools?: Tools;
};

/** A node. Its two daemons start and end separately, so that either can crash under the other. */
export class LocalNode {
  readonly name: string;
  readonly index: number;
  readonly dir: string;
  /** What a reboot would lose, on tmpfs: sockets, namespaces. Short, for a socket's path has at most 107 bytes. */
  readonly runDir: string;
  /** The containerd that was started last, or is to be. */
  containerdVersion: ContainerdVersion;
  readonly containerdNamespace: string;
  readonly bridgeName: string;
  readonly bridgeSubnet: string;
  readonly cgroupRoot: string;
  readonly metricsAddress: string;
  readonly #options: LocalNodeOptions;
  readonly #tools: Tools;
  readonly #containerd: Daemon;
  readonly #agent: Daemon;

  constructor(options: LocalNodeOptions) {
    const index = String(options.index);
    this.#options = options;
    this.#tools = options.tools ?? findTools();
    this.index = options.index;
    this.name = options.name ?? `node-${index}`;
    this.dir = resolve(options.dir);
    this.runDir = join("/run/berth-local", createHash("sha256").update(this.dir).digest("hex").slice(0, 12));
    this.containerdVersion = options.containerd ?? "2.1";
    this.containerdNamespace = `berth-${index}`;
    this.bridgeName = `berth${index}`;
    this.bridgeSubnet = `10.89.${index}.0/24`;
    this.cgroupRoot = `/berth-${index}`;
    this.metricsAddress = `127.0.0.1:${String(METRICS_PORT + options.index)}`;
    this.#containerd = new Daemon(this.dir, "containerd");
    this.#agent = new Daemon(this.dir, "agent");
  }

  get containerdAddress(): string {
    return join(this.runDir, "containerd.sock");
  }
  get stateDir(): string {
    return join(this.runDir, "agent");
  }
  get dataDir(): string {
    return join(this.dir, "data");
  }
  get logDir(): string {
    return join(this.dir, "logs");
  }
  /** The agent's own log, JSON lines. */
  get agentLogFile(): string {
    return this.#agent.logFile;
  }
  get agentPid(): number | undefined {
    return this.#agent.pid;
  }
  get containerdPid(): number | undefined {
    return this.#containerd.pid;
  }
  /** The shims of its containers (and whatever else containerd has started), by process id. */
  get shimPids(): number[] {
    return this.#containerd.family().filter((pid) => pid !== this.#containerd.pid);
  }

  /**
   * Starts containerd, unless it runs, and waits until it serves.
   *
   * @param options.criu whether it finds CRIU (default); without, it has nothing but its own programs in its PATH
   * @param options.version another one than before, with what that has left
   * @throws DaemonError
   */
  async startContainerd(options: { criu?: boolean; version?: ContainerdVersion } = {}): Promise<void> {
    this.containerdVersion = options.version ?? this.containerdVersion;
    for (const dir of [this.dir, this.runDir]) mkdirSync(dir, { recursive: true, mode: 0o711 });
    await joinMachine(this.dir);
    const asMachine = this.#options.asMachine === true;
    // What is mounted in there is to be seen from here.
    if (asMachine && !(await isMounted(this.runDir))) await boot(this);
    const bin = this.#tools.containerdDir(this.containerdVersion);
    const config = join(this.dir, "containerd.toml");
    const paths = {
      root: join(this.dir, "containerd"),
      state: join(this.runDir, "containerd"),
      address: this.containerdAddress,
    };
    writeFileSync(config, containerdConfig(this.containerdVersion, paths));
    const command = [join(bin, "containerd"), "--config", config] as const;
    this.#containerd.start(asMachine ? onMachine(command) : command, {
      env: {
        PATH: this.#containerdPath(bin, options.criu ?? true),
        ...(this.#options.caFile === undefined ? {} : { SSL_CERT_FILE: this.#options.caFile }),
      },
    });
    await this.#containerd.waitUntil("ready", () => canConnect(this.containerdAddress), CONTAINERD_READY_TIMEOUT_MS);
  }

  #containerdPath(bin: string, criu: boolean): string {
    const own = [bin, this.#tools.runcDir];
    return [...own, ...(criu ? [this.#tools.criuDir, process.env["PATH"] ?? ""] : [])].join(":");
  }

  /** Ends containerd; containers go on. `kill` as a crash does it. */
  async stopContainerd(how: "stop" | "kill" = "stop"): Promise<void> {
    await this.#containerd[how]();
  }

  /** Starts the agent, unless it runs. It need not become ready: see {@link agentReady}. */
  startAgent(flags: Readonly<Record<string, string>> = {}): void {
    const [program, ...args] = this.#options.agent ?? AGENT;
    const command = [program, ...args, ...commandLine({ ...this.agentFlags(), ...flags })] as const;
    this.#agent.start(sinceBoot(this, this.#tools.busybox, command));
  }

  /**
   * Waits until the agent's /readyz says so.
   *
   * @throws DaemonError when it ends before that, or takes longer
   */
  async agentReady(timeoutMs = AGENT_READY_TIMEOUT_MS): Promise<void> {
    await this.#agent.waitUntil("ready", () => answersOk(`http://${this.metricsAddress}/readyz`), timeoutMs);
  }

  /**
   * Ends the agent; containers go on. `kill` as a crash does it.
   *
   * @throws DaemonError when SIGTERM did not end it in time
   */
  async stopAgent(how: "stop" | "kill" = "stop"): Promise<void> {
    if (how === "kill") {
      await this.#agent.kill();
      return;
    }
    const started = Date.now();
    await this.#agent.stop(AGENT_STOP_TIMEOUT_MS);
    if (Date.now() - started > AGENT_STOP_TIMEOUT_MS) {
      throw new DaemonError("agent", "did not end on SIGTERM", this.#agent.logTail());
    }
  }

  /**
   * What a power cut does, and the boot after it: all that runs here ends at once, mounts, rules and what lay on tmpfs are
   * gone, and the agent will see another boot id; the disk is as it was. containerd runs then. What nodes of one machine
   * share (sysctls, chains of the CNI plugins) stays.
   */
  async reboot(): Promise<void> {
    await this.#agent.kill();
    killAll([...this.#agent.family(), ...this.#plugins()]);
    await this.#containerd.kill();
    await removeTraces(this);
    await boot(this);
    await this.startContainerd();
  }

  /** The agent's flags, for those who want to start one themselves. */
  agentFlags(): Record<string, string> {
    const { kubeconfig, registryHostsDir, flags } = this.#options;
    return {
      "node-name": this.name,
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
      "containerd-address": this.containerdAddress,
      "containerd-namespace": this.containerdNamespace,
      "state-dir": this.stateDir,
      "data-dir": this.dataDir,
      "log-dir": this.logDir,
      "cni-bin-dir": this.#tools.cniBinDir,
      "cni-conf-dir": join(this.dir, "cni"),
      ...(registryHostsDir === undefined ? {} : { "registry-hosts-dir": registryHostsDir }),
      "bridge-name": this.bridgeName,
      "bridge-subnet": this.bridgeSubnet,
      "cgroup-root": this.cgroupRoot,
      "metrics-address": this.metricsAddress,
      "log-format": "json",
      ...flags,
    };
  }

  /**
   * Runs the ctr of this containerd's own version in the node's namespace and answers what it printed.
   *
   * @throws CommandError
   */
  async ctr(...args: string[]): Promise<string> {
    const ctr = join(this.#tools.containerdDir(this.containerdVersion), "ctr");
    const { stdout } = await run(ctr, [
      "--address",
      this.containerdAddress,
      "--namespace",
      this.containerdNamespace,
      ...args,
    ]);
    return stdout;
  }

  /** CNI plugins of a test that still run (pluginsWith): a plugin is given an environment without the mark. */
  #plugins(): number[] {
    return processesNaming(join(this.dir, "plugins-"));
  }

  /** Ends everything of this node and removes every trace of it. Also after a crash at any point; safe to repeat. */
  async stop(): Promise<void> {
    await this.#agent.stop(AGENT_STOP_TIMEOUT_MS);
    // What it had under way: plugins, helpers.
    killAll([...this.#agent.family(), ...this.#plugins()]);
    // Before the shims, so that it does not clean up beside us.
    await this.#containerd.kill();
    await removeTraces(this);
    for (const dir of [this.dir, this.runDir]) rmSync(dir, { recursive: true, force: true });
    await leaveMachine(this.dir);
  }
}

function commandLine(flags: Record<string, string>): string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}

function canConnect(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      done(true);
    });
    socket.once("error", () => {
      done(false);
    });
  });
}

async function answersOk(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1000) })).ok;
  } catch {
    return false;
  }
}
