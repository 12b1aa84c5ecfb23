/**
 * Pod Security admission, as far as an agent can be it: a Container that its namespace's labels forbid is not made. As with
 * Pods, what was admitted runs on, restarts included, whatever becomes of the labels; a container's record is the proof of it.
 */
import type { Logger } from "pino";
import {
  admissionNeeded,
  type Container,
  type ContainerSpec,
  type Level,
  type PodSecurityPolicy,
  policyOf,
  violationOf,
} from "../api/index.ts";
import { type KubeApi, type KubeObject, ListWatch, namespacePath } from "../kube/index.ts";
import { type StartFailure, startFailure } from "../oci/index.ts";
import { isDone } from "./told.ts";

/** Milliseconds that a start waits for the answer about its namespace, where the watch has not told of it. */
const ASK_TIMEOUT_MS = 5000;

/** What an agent goes by. */
export interface PodSecurityOptions {
  readonly api: KubeApi;
  /** The level of namespaces without a label. */
  readonly fallback: Level;
  /** Has a key looked at again whose answer may be another one now. */
  readonly requeue: (key: string) => void;
  readonly logger: Logger;
}

/** The answers, from a list-watch of the namespaces' labels. */
export class PodSecurity {
  readonly #options: PodSecurityOptions;
  readonly #namespaces: ListWatch<KubeObject>;
  readonly #policies = new Map<string, PodSecurityPolicy>();
  /** Keys that were refused, and by whose labels. */
  readonly #refused = new Map<string, string>();

  constructor(options: PodSecurityOptions) {
    this.#options = options;
    this.#namespaces = new ListWatch<KubeObject>({
      api: options.api,
      path: namespacePath(),
      onChange: (name, namespace) => {
        this.#learn(name, namespace === undefined ? undefined : this.#policyOf(namespace));
      },
      logger: options.logger,
    });
  }

  start(): void {
    this.#namespaces.start();
  }

  stop(): Promise<void> {
    return this.#namespaces.stop();
  }

  /**
   * Why an object's spec may not be applied now; undefined when it may. Its namespace is asked for where the watch has not
   * told of it yet; should that fail, nothing new is made until it tells.
   * @param admitted the spec of the object's container, where there is one
   */
  async refusal(
    key: string,
    object: Container,
    admitted: ContainerSpec | undefined,
  ): Promise<StartFailure | undefined> {
    this.#refused.delete(key);
    if (object.metadata.deletionTimestamp !== undefined) return undefined;
    // One that has ended for good is not made again.
    if (admitted === undefined ? isDone(object) : !admissionNeeded(admitted, object.spec)) return undefined;
    const { namespace } = object.metadata;
    // Before the answer: from here on, no news of the labels is missed.
    this.#refused.set(key, namespace);
    const policy = this.#policies.get(namespace) ?? (await this.#ask(namespace));
    if (policy instanceof Error) return unknown(namespace, policy);
    const violation = violationOf(object, policy);
    if (violation !== undefined) return forbidden(namespace, violation);
    this.#refused.delete(key);
    return undefined;
  }

  /** Forgets an object that is gone. */
  forget(key: string): void {
    this.#refused.delete(key);
  }

  #policyOf({ metadata }: KubeObject): PodSecurityPolicy {
    return policyOf(metadata.labels, this.#options.fallback);
  }

  #learn(namespace: string, policy: PodSecurityPolicy | undefined): void {
    const known = this.#policies.get(namespace);
    if (policy === undefined) this.#policies.delete(namespace);
    else this.#policies.set(namespace, policy);
    if (policy?.level === known?.level && policy?.version === known?.version) return;
    for (const [key, refusing] of this.#refused) if (refusing === namespace) this.#options.requeue(key);
  }

  async #ask(namespace: string): Promise<PodSecurityPolicy | Error> {
    const answer = await this.#options.api
      .get<KubeObject>(namespacePath(namespace), { timeoutMs: ASK_TIMEOUT_MS })
      .then((found) => this.#policyOf(found))
      .catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
    // What the watch has told meanwhile may be newer.
    return this.#policies.get(namespace) ?? answer;
  }
}

function forbidden(namespace: string, violation: string): StartFailure {
  const advice = `change the spec, or the labels pod-security.kubernetes.io/enforce of namespace "${namespace}"`;
  return startFailure("Forbidden", `${violation}; ${advice}`, violation);
}

function unknown(namespace: string, { message }: Error): StartFailure {
  return {
    reason: "WaitingForNamespace",
    state: "Pending",
    final: false,
    message: `what namespace "${namespace}" allows is not known: ${message}`,
    error: message,
  };
}
