import { GROUP, VERSION } from "../api/index.ts";

/** A resource as it stands in a URL; `group` is "" for core/v1. */
export type Resource = { group: string; version: string; plural: string };

const CONTAINERS: Resource = { group: GROUP, version: VERSION, plural: "containers" };
const CHECKPOINTS: Resource = { group: GROUP, version: VERSION, plural: "containercheckpoints" };
const NAMESPACES: Resource = { group: "", version: "v1", plural: "namespaces" };
const NODES: Resource = { group: "", version: "v1", plural: "nodes" };
const SECRETS: Resource = { group: "", version: "v1", plural: "secrets" };
const CONFIG_MAPS: Resource = { group: "", version: "v1", plural: "configmaps" };
const EVENTS: Resource = { group: "", version: "v1", plural: "events" };
const LEASES: Resource = { group: "coordination.k8s.io", version: "v1", plural: "leases" };

/**
 * The URL path of a resource: of all namespaces without `namespace`, of a collection without `name`, of an object
 * otherwise; `subresource` (`status`) follows the object.
 */
export function resourcePath(resource: Resource, namespace?: string, name?: string, subresource?: string): string {
  const root = resource.group === "" ? ["api", resource.version] : ["apis", resource.group, resource.version];
  const scope = namespace === undefined ? [] : ["namespaces", namespace];
  const rest = [name, subresource].filter((part) => part !== undefined);
  return "/" + [...root, ...scope, resource.plural, ...rest].map(encodeURIComponent).join("/");
}

/** The resource that such a path is of, with its subresource: `containers`, `containers/status`. */
export function resourceOf(path: string): string {
  const [, root, ...rest] = path.split("/");
  const parts = rest.slice(root === "api" ? 1 : 2);
  const [plural = "", , subresource] = parts[0] === "namespaces" && parts.length > 2 ? parts.slice(2) : parts;
  return subresource === undefined ? plural : `${plural}/${subresource}`;
}

/** Path of Containers: all, a namespace's, one, or one's subresource. */
export function containerPath(namespace?: string, name?: string, subresource?: string): string {
  return resourcePath(CONTAINERS, namespace, name, subresource);
}

/** Path of ContainerCheckpoints, as {@link containerPath}. */
export function checkpointPath(namespace?: string, name?: string, subresource?: string): string {
  return resourcePath(CHECKPOINTS, namespace, name, subresource);
}

/** Path of all namespaces, or of one. */
export function namespacePath(name?: string): string {
  return resourcePath(NAMESPACES, undefined, name);
}

/** Path of all Nodes, or of one. */
export function nodePath(name?: string): string {
  return resourcePath(NODES, undefined, name);
}

/** Path of a namespace's Secrets, or of one. */
export function secretPath(namespace: string, name?: string): string {
  return resourcePath(SECRETS, namespace, name);
}

/** Path of a namespace's ConfigMaps, or of one. */
export function configMapPath(namespace: string, name?: string): string {
  return resourcePath(CONFIG_MAPS, namespace, name);
}

/** Path of a namespace's core/v1 Events, or of one. */
export function eventPath(namespace: string, name?: string): string {
  return resourcePath(EVENTS, namespace, name);
}

/** Path of a namespace's Leases, or of one. */
export function leasePath(namespace: string, name?: string): string {
  return resourcePath(LEASES, namespace, name);
}
