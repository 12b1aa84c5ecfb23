// Where the real parts are that hack/tools.sh brought onto this machine.
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The containerd versions kept for development; 1.6 only to see it refused. */
export const CONTAINERD_VERSIONS = ["2.1", "1.7", "1.6"] as const;
export type ContainerdVersion = (typeof CONTAINERD_VERSIONS)[number];

/** Programs by absolute path. */
export type Tools = {
  readonly kubeApiserver: string;
  readonly etcd: string;
  readonly kubectl: string;
  readonly helm: string;
  /** A server of CustomResourceDefinitions alone, of a current Kubernetes. */
  readonly crdServer: string;
  readonly dockerRegistry: string;
  readonly busybox: string;
  /** Directory of dockerd and docker-proxy. */
  readonly dockerDir: string;
  /** Directory of the CNI plugins. */
  readonly cniBinDir: string;
  /** Directory of runc, for containerd's PATH. */
  readonly runcDir: string;
  /** Directory of CRIU, for containerd's PATH. */
  readonly criuDir: string;
  /** Directory of containerd, its shim and ctr. */
  readonly containerdDir: (version: ContainerdVersion) => string;
};

/** The cache that hack/tools.sh fills; both follow the same variables. */
export function cacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return env["BERTH_CACHE"] ?? join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "berth");
}

/**
 * Where the tools are; one that is missing throws an Error when it is asked for. `KUBEBUILDER_ASSETS` wins for
 * kube-apiserver and etcd, as with envtest.
 */
export function findTools(env: NodeJS.ProcessEnv = process.env): Tools {
  const cache = cacheDir(env);
  const assets = env["KUBEBUILDER_ASSETS"] ?? "";
  const asset = (name: string, dir: string) => present(assets === "" ? join(cache, dir) : assets, name);
  return {
    get kubeApiserver() {
      return asset("kube-apiserver", "kube-apiserver");
    },
    get etcd() {
      return asset("etcd", "etcd/usr/bin");
    },
    get kubectl() {
      return present(join(cache, "kubectl/usr/bin"), "kubectl");
    },
    get helm() {
      return present(join(cache, "helm"), "helm");
    },
    get crdServer() {
      return present(join(cache, "crd-server"), "apiextensions-apiserver");
    },
    get dockerRegistry() {
      return present(join(cache, "docker-registry/usr/bin"), "docker-registry");
    },
    get busybox() {
      return present(join(cache, "busybox/bin"), "busybox");
    },
    get dockerDir() {
      const directory = join(cache, "docker/usr/sbin");
      present(directory, "dockerd");
      return directory;
    },
    cniBinDir: join(cache, "cni/usr/lib/cni"),
    runcDir: join(cache, "runc/usr/sbin"),
    get criuDir() {
      const directory = join(cache, "criu/bin");
      present(directory, "criu");
      return directory;
    },
    containerdDir: (version) => {
      const directory = join(cache, `containerd-${version}`, "usr/bin");
      present(directory, "containerd");
      return directory;
    },
  };
}

function present(directory: string, name: string): string {
  const path = join(directory, name);
  if (!existsSync(path)) throw new Error(`${path} is missing: run hack/tools.sh`);
  return path;
}
