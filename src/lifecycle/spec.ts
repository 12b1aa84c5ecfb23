/** The runtime spec of a container to be made, from everything the start has gathered. */
import { type ContainerSpec, hostname } from "../api/index.ts";
import type { RuntimeHandler } from "../config.ts";
import { packRuntimeOptions, type Mount } from "../containerd/index.ts";
import { kernelAtLeast } from "../node/index.ts";
import {
  buildSpec,
  envList,
  healthcheckOf,
  type OciImageConfig,
  type OciMount,
  type ResolvedUser,
  resolveUser,
  SpecError,
  type UserFiles,
  withSecretNames,
} from "../oci/index.ts";
import type { StartNetwork } from "./attach.ts";
import { cgroupsPath } from "./cgroup.ts";
import { defaultAppArmor, localhostSeccomp } from "./confinement.ts";
import { wishedDevices } from "./devices.ts";
import type { Parts } from "./parts.ts";
import { withPeers } from "./peers.ts";
import type { NewRecord } from "./records.ts";
import type { Source, Start } from "./start.ts";

/** The default runtime handler. */
const DEFAULT_RUNTIME = "runc";

/**
 * The handler that a spec names.
 * @throws SpecError when the agent's configuration has none of that name
 */
export function runtimeHandler(parts: Pick<Parts, "runtimes">, spec: ContainerSpec): RuntimeHandler {
  const name = spec.runtime ?? DEFAULT_RUNTIME;
  const handler = parts.runtimes[name];
  if (handler === undefined) {
    const known = Object.keys(parts.runtimes).join(", ");
    throw new SpecError("spec.runtime", `"${name}" is no runtime of this node: it has ${known}`);
  }
  return handler;
}

/**
 * Whether a runtime makes read-only mounts recursively so. Linux can since 5.12, runc since 1.1; other shims may refuse the
 * option.
 */
export function hasRecursiveReadOnly(handler: RuntimeHandler): boolean {
  return handler.type === "io.containerd.runc.v2" && kernelAtLeast(5, 12);
}

/** What the start has acquired for the container, for the runtime to find. */
export interface Acquired {
  readonly rootfs: readonly Mount[];
  /** Volumes and the network's files. */
  readonly mounts: readonly OciMount[];
  readonly network: StartNetwork;
}

/**
 * The runtime spec of a container, and the runtime that reads it.
 * @throws SpecError when the spec, with this image and on this node, asks for what can't be
 */
export async function specFor(
  parts: Parts,
  { id, applied, peers, restore }: Start,
  source: Source,
  acquired: Acquired,
): Promise<Pick<NewRecord, "spec" | "runtime">> {
  const { namespace, name, uid, spec } = applied;
  const handler = runtimeHandler(parts, spec);
  healthcheckOf(spec, applied.image); // One that can't be made is refused before anything runs.
  const [user, devices, seccomp, apparmorProfile] = await Promise.all([
    readUserFiles(parts, applied.image.chainID, acquired.rootfs, restore !== undefined).then((files) =>
      userOf(spec, source.image, files),
    ),
    wishedDevices(spec),
    localhostSeccomp(parts, spec),
    defaultAppArmor(parts, spec),
  ]);
  const built = buildSpec({
    container: { namespace, name, uid, spec },
    image: source.image,
    user,
    env: envList(source.env),
    mounts: acquired.mounts,
    hostname: peers.joined?.hostname ?? hostname(applied),
    netns: acquired.network.netns,
    addresses: acquired.network.attachment?.ipAddresses,
    cgroupsPath: cgroupsPath(parts, id, spec, handler.options.SystemdCgroup),
    ...devices,
    ...(seccomp === undefined ? {} : { localhostSeccomp: seccomp }),
    node: { ...parts.facts, ...(apparmorProfile === undefined ? {} : { apparmorProfile }) },
  });
  // Only a runtime that is given options needs to know what containerd.runc.v1.Options are.
  const hasOptions = Object.keys(handler.options).length > 0;
  const options = hasOptions ? { options: packRuntimeOptions(handler.options) } : {};
  const noted = withSecretNames(withPeers(built, peers, acquired.network.netns), source.secretEnv);
  return { spec: noted, runtime: { name: handler.type, ...options } };
}

/** The files in which users and groups are looked up: the image's own, or those of a checkpoint. */
async function readUserFiles(
  { rootfs }: Parts,
  chainID: string,
  mounts: readonly Mount[],
  isRestored: boolean,
): Promise<UserFiles> {
  const paths = ["/etc/passwd", "/etc/group"];
  const [passwd, group] = isRestored
    ? await rootfs.readFiles(mounts, paths)
    : await rootfs.readImageFiles(chainID, mounts, paths);
  return { passwd, group };
}

function userOf(spec: ContainerSpec, image: OciImageConfig, files: UserFiles): ResolvedUser {
  const { runAsUser, runAsGroup, runAsNonRoot, supplementalGroups } = spec.securityContext ?? {};
  return resolveUser(
    { user: spec.user, imageUser: image.User, runAsUser, runAsGroup, runAsNonRoot, supplementalGroups },
    files,
  );
}
