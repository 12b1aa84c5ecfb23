/** The whole objects as the API server stores them. */
import { Type } from "typebox";
import { API_VERSION } from "../names.ts";
import { checkpointSpec, checkpointStatus } from "./checkpoint.ts";
import { DNS_LABEL, OPEN, object, optional, text, type Rule } from "./fields.ts";
import { containerSpec } from "./spec.ts";
import { containerStatus } from "./status.ts";

// The only part of metadata that a CRD may constrain is its name.
const metadata = Type.Object(
  { name: optional(text("Name of the object.", { min: 1, max: 63, form: DNS_LABEL })) },
  { [OPEN]: true },
);

const typeMeta = {
  apiVersion: optional(text(`Group and version: ${API_VERSION}.`)),
  kind: optional(text("Kind of the object: Container or ContainerCheckpoint.")),
  metadata,
};

const rules: Rule[] = [
  {
    rule: "!has(self.spec.network.container) || self.spec.network.container != self.metadata.name",
    message: "a Container can't join its own network: network.container must name another Container",
    at: "spec.network.container",
  },
  {
    rule: "!has(self.spec.network.links) || self.spec.network.links.all(l, l.container != self.metadata.name)",
    message: "a Container can't be linked to itself: links must name other Containers",
    at: "spec.network.links",
  },
];

export const container = object(
  "One container on one node, run by the node's containerd: docker run, declared.",
  { ...typeMeta, spec: containerSpec, status: optional(containerStatus) },
  { rules },
);

export const containerCheckpoint = object(
  "The memory and files of a running Container, taken once, to go on from later: docker checkpoint create.",
  { ...typeMeta, spec: checkpointSpec, status: optional(checkpointStatus) },
);
