// Content of /etc/resolv.conf (resolv.conf(5)): the node's, made fit for another network namespace by Docker's rules.
import { readFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import type { DnsConfig } from "../api/index.ts";
import { orMissing } from "../node/index.ts";

const NODE_FILE = "/etc/resolv.conf";
// With systemd-resolved the node's file names only its stub on 127.0.0.53; this one has the servers behind it.
const RESOLVED_FILE = "/run/systemd/resolve/resolv.conf";
/**
 * Docker's way out when the node has no server a container could reach. A node's operator who wants others names them
 * in its resolv.conf, a user in `network.dns`.
 */
const PUBLIC_NAMESERVERS = ["8.8.8.8", "8.8.4.4"];

export type ResolvWish = {
  /** The node's file. */
  nodeFile: string;
  /** What the user asks for; each list takes the place of the node's. */
  dns?: DnsConfig | undefined;
  /** The container is in the node's network, whose loopback servers it can reach. */
  hostNetwork: boolean;
  /** The container has an IPv6 address, without which it can't reach a server that has one. */
  ipv6: boolean;
};

/** The resolv.conf to start from: the node's, or the one systemd-resolved keeps behind its stub. */
export async function readNodeResolvConf(nodeFile = NODE_FILE, resolvedFile = RESOLVED_FILE): Promise<string> {
  const text = (await orMissing(readFile(nodeFile, "utf8"))) ?? "";
  const servers = values(text, "nameserver");
  if (servers.length !== 1 || servers[0] !== "127.0.0.53") return text;
  return (await orMissing(readFile(resolvedFile, "utf8"))) ?? text;
}

/** The text of the container's /etc/resolv.conf. */
export function resolvConf(wish: ResolvWish): string {
  const { nodeFile, dns = {}, hostNetwork, ipv6 } = wish;
  const nothingWished = [dns.nameservers, dns.searches, dns.options].every((list) => (list ?? []).length === 0);
  if (hostNetwork && nothingWished) return nodeFile;

  const searches = chosen(dns.searches, values(nodeFile, "search", "domain").at(-1)?.split(/\s+/) ?? []);
  const options = chosen(
    dns.options?.map(({ name, value }) => (value === undefined ? name : `${name}:${value}`)),
    values(nodeFile, "options").flatMap((words) => words.split(/\s+/)),
  );
  return [
    ...chosen(dns.nameservers, nodeNameservers(nodeFile, hostNetwork, ipv6)).map((server) => `nameserver ${server}\n`),
    // Docker's --dns-search=. : no search list at all.
    ...(searches.length === 0 || (searches.length === 1 && searches[0] === ".")
      ? []
      : [`search ${searches.join(" ")}\n`]),
    ...(options.length === 0 ? [] : [`options ${options.join(" ")}\n`]),
  ].join("");
}

function nodeNameservers(nodeFile: string, hostNetwork: boolean, ipv6: boolean): string[] {
  const servers = values(nodeFile, "nameserver");
  if (hostNetwork) return servers;
  const reachable = servers.filter(
    (server) => !isLoopback(server) && (!isIPv6(server) || (ipv6 && !server.includes("%"))),
  );
  return reachable.length > 0 ? reachable : PUBLIC_NAMESERVERS;
}

function chosen(wished: readonly string[] | undefined, ofNode: readonly string[]): readonly string[] {
  return wished !== undefined && wished.length > 0 ? wished : ofNode;
}

function isLoopback(server: string): boolean {
  return server.startsWith("127.") || server === "::1";
}

// The values of a keyword's lines, in the file's order. Comments start a line with # or ;.
function values(text: string, ...keywords: string[]): string[] {
  return text.split("\n").flatMap((each) => {
    const [keyword, ...rest] = each.trim().split(/\s+/);
    return keyword !== undefined && keywords.includes(keyword) && rest.length > 0 ? [rest.join(" ")] : [];
  });
}
