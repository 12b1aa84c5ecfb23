/**
 * Specs that are refused or accepted, one for each rule and form of the schema: the agent's own checks and a real API
 * server's are tested with the same.
 */

/** What a spec has besides a node and an image, and what is wrong with it: the field and words of the message. */
export type Case = { name: string; spec: Record<string, unknown>; field?: string; says?: string; agentOnly?: boolean };

/** A spec with one volume `v` and the given mounts. */
export const mounts = (...mounted: object[]) => ({ volumes: [{ name: "v", emptyDir: {} }], volumeMounts: mounted });

/** A whole object of a case's spec. */
export function objectOf({ spec }: Case): object {
  return {
    apiVersion: "berth.dev/v1alpha1",
    kind: "Container",
    metadata: { name: "hello", namespace: "default" },
    spec: { nodeName: "node-1", image: "example.com/hello:1", ...spec },
  };
}
