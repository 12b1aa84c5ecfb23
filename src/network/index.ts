// Containers' networks: namespaces, CNI, published ports, and the files that name hosts.
export type { CniResult } from "./cni.ts";
export { addressProblem } from "./bridge.ts";
export { CniError, NetworkError, PluginMissingError } from "./errors.ts";
export { Network } from "./network.ts";
export type { Attachment, AttachRequest, NetworkOptions } from "./network.ts";
export { hostsBlock, withBlock } from "./hosts-block.ts";
export type { HostsLine } from "./hosts-block.ts";
export { hostnameFile, hostsFile } from "./hosts.ts";
export type { HostsWish } from "./hosts.ts";
export { readNodeResolvConf, resolvConf } from "./resolv.ts";
export type { ResolvWish } from "./resolv.ts";
export { nameFiles } from "./name-files.ts";
export type { NameFiles } from "./name-files.ts";
