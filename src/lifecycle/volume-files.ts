/** configMap and secret volumes: their content before a start, and its updates while the container needs it. */
import type { Logger } from "pino";
import { ApiError, isUnavailable, type KubeApi, ObjectFollower } from "../kube/index.ts";
import { filesOf, type FileSet, fileSources, type FileSource, type Volumes } from "../storage/index.ts";
import type { Desired, Instance } from "./decide.ts";
import type { Parts } from "./parts.ts";
import type { Applied, Record, Waiting } from "./record.ts";
import { type DataObject, readReference, referencePath, waitForReference } from "./references.ts";

/** Files by the name of their volume. */
export type VolumeFiles = ReadonlyMap<string, FileSet>;

/** Milliseconds that the API server has to answer where there are files from an earlier start to go by. */
const REFRESH_TIMEOUT_MS = 2000;

/** What stands in the way of a volume's files: no right to read the object, or the object or a key of it is missing. */
type Obstacle = { source: FileSource; key?: string; message?: string };

/**
 * The content of the volumes of a container to be made, or what has to appear before it can be told; the key is looked at
 * again when it does.
 * @throws ApiUnavailable
 */
export async function resolveFiles(
  parts: Parts,
  key: string,
  { namespace }: Pick<Applied, "namespace">,
  spec: Applied["spec"],
): Promise<{ files: VolumeFiles } | Waiting> {
  const found = await lookUp(parts, namespace, fileSources(spec), {});
  return "files" in found ? found : waitFor(parts, key, namespace, found);
}

/**
 * The same for a container that is started again. If it has its files, they are brought up to date where that can be done
 * at once, and what is missing, be it the API server, holds nothing up. If the node's reboot took them, all is waited for.
 * @throws ApiError
 */
export async function refreshFiles(
  parts: Parts,
  key: string,
  { id, applied }: Record,
): Promise<{ files: VolumeFiles } | Waiting> {
  const sources = fileSources(applied.spec);
  const there = await Promise.all(sources.map(({ volume }) => parts.volumes.hasFiles(id, volume)));
  const complete = !there.includes(false);
  // Those that are followed are up to date.
  if (complete && parts.fileUpdates.follows(key)) return { files: new Map() };
  try {
    const options = complete ? { timeoutMs: REFRESH_TIMEOUT_MS } : {};
    const found = await lookUp(parts, applied.namespace, sources, options);
    if ("files" in found) return found;
    return complete ? { files: new Map() } : waitFor(parts, key, applied.namespace, found);
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    const missing = sources[there.indexOf(false)];
    return missing === undefined ? { files: new Map() } : waitForServer(parts, key, applied.namespace, missing);
  }
}

async function lookUp(
  parts: Parts,
  namespace: string,
  sources: readonly FileSource[],
  options: { timeoutMs?: number },
): Promise<{ files: VolumeFiles } | Obstacle> {
  const files = new Map<string, FileSet>();
  for (const source of sources) {
    const object = await readReference(parts, namespace, source, options);
    if (object instanceof ApiError) return { source, message: object.message };
    if (object === undefined && !source.optional) return { source };
    const content = filesOf(source, object);
    if ("missing" in content) return { source, key: content.missing };
    files.set(source.volume, content);
  }
  return { files };
}

/** The API server is away; the node's reboot took the files that it has given before. */
function waitForServer(parts: Parts, key: string, namespace: string, source: FileSource): Waiting {
  const what = `${source.kind === "Secret" ? "secret" : "configmap"} "${source.name}" in namespace "${namespace}"`;
  const message = `${what} can't be read while the API server is away: the start goes on when it is back`;
  return waitFor(parts, key, namespace, { source, message });
}

function waitFor(parts: Parts, key: string, namespace: string, { source, key: missing, message }: Obstacle): Waiting {
  const { kind, name } = source;
  const reference = { kind, name, ...(missing === undefined ? {} : { key: missing }) };
  return waitForReference(parts, key, namespace, reference, message);
}

/** Keeps the files of containers that run, or wait to run again, what their objects say. */
export class FileUpdates {
  readonly #volumes: Volumes;
  readonly #logger: Logger;
  readonly #objects: ObjectFollower;
  /** By key: the versions of the objects that the files were last compared with, by container and volume. */
  readonly #versions = new Map<string, Map<string, string>>();

  constructor(options: { api: KubeApi; volumes: Volumes; onChange: (key: string) => void; logger: Logger }) {
    this.#volumes = options.volumes;
    this.#logger = options.logger;
    this.#objects = new ObjectFollower(options);
  }

  /** Whether a container's files are kept up to date now. */
  follows(key: string): boolean {
    return this.#versions.has(key);
  }

  /**
   * Follows the objects of a container that needs them, and writes what is new; the caller is called again at any change.
   * @throws VolumeError when the files can't be written; they are then what they were
   */
  async keep(key: string, instance: Instance | undefined, desired: Desired): Promise<void> {
    const sources =
      instance !== undefined && isNeeded(instance, desired) ? fileSources(instance.record.applied.spec) : [];
    if (instance === undefined || sources.length === 0) {
      this.forget(key);
      return;
    }
    const { id, applied } = instance.record;
    const versions = this.#versions.get(key) ?? new Map<string, string>();
    this.#versions.set(key, versions);
    const objects = sources.map((source) => ({ source, object: followed(source, applied.namespace) }));
    this.#objects.follow(
      key,
      objects.map(({ object }) => object),
    );
    for (const { source, object } of objects) {
      const seen = this.#objects.get(object);
      if (!seen.known) continue;
      const version = seen.object?.metadata.resourceVersion ?? "";
      if (versions.get(`${id}/${source.volume}`) === version) continue;
      await this.#update(id, source, seen.object);
      versions.set(`${id}/${source.volume}`, version);
    }
  }

  /** Follows nothing for a key any more. */
  forget(key: string): void {
    if (this.#versions.delete(key)) this.#objects.follow(key, []);
  }

  close(): void {
    this.#objects.close();
  }

  /** As the kubelet does: what has become incomplete leaves the files as they were. */
  async #update(id: string, source: FileSource, object: DataObject | undefined): Promise<void> {
    const { volume, kind, name } = source;
    const content = filesOf(source, object);
    if ((object === undefined && !source.optional) || "missing" in content) {
      const missing = "missing" in content ? content.missing : undefined;
      this.#logger.warn({ container: id, volume, kind, name, missing }, "the files of a volume stay as they are");
      return;
    }
    if (await this.#volumes.updateFiles(id, volume, content))
      this.#logger.info({ container: id, volume, kind, name }, "updated the files of a volume");
  }
}

function followed({ kind, name }: FileSource, namespace: string): { path: string; name: string } {
  return { path: referencePath(kind, namespace), name };
}

/** A container at rest reads nothing; one that runs does, and one that waits for its restart will. */
function isNeeded({ record, task }: Instance, desired: Desired): boolean {
  const { state } = record;
  return desired.kind === "present" && (task !== undefined || state.nextRetryAt !== undefined);
}
