import { arch } from "node:os";
import type { ContainerdVersion } from "./tools.ts";

/** What a node that runs Containers only does not need, or what would write outside the node's directories. */
const DISABLED = [
  "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime",
  "io.containerd.grpc.v1.cri",
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.nri.v1.nri",
  "io.containerd.podsandbox.controller.v1.podsandbox",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
];

/** The config.toml of one node's containerd. */
export function containerdConfig(
  version: ContainerdVersion,
  paths: { root: string; state: string; address: string },
): string {
  const lines = [
    `version = ${version.startsWith("1.") ? "2" : "3"}`,
    `root = ${quote(paths.root)}`,
    `state = ${quote(paths.state)}`,
    `disabled_plugins = [${DISABLED.map(quote).join(", ")}]`,
    `[grpc]`,
    `address = ${quote(paths.address)}`,
    `[ttrpc]`,
    `address = ${quote(`${paths.address}.ttrpc`)}`,
  ];
  // 1.7 unpacks only what is listed here; 2.x lists its default snapshotter by itself.
  if (version === "1.7") {
    const platform = `linux/${arch() === "arm64" ? "arm64" : "amd64"}`;
    lines.push(
      `[[plugins."io.containerd.transfer.v1.local".unpack_config]]`,
      `platform = ${quote(platform)}`,
      `snapshotter = "overlayfs"`,
    );
  }
  return `${lines.join("\n")}\n`;
}

// A TOML basic string, for which JSON's escapes do.
function quote(text: string): string {
  return JSON.stringify(text);
}
