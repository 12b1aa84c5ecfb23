/** The resource: types, defaults, validation and the CRDs, all from one schema. */
export * from "./names.ts";
export * from "./types.ts";
export { check } from "./check.ts";
export { hostname, imagePullPolicy, withDefaults } from "./defaults.ts";
export { NotationError, parseDuration, parseQuantity } from "./notation.ts";
export { IN_PLACE_FIELDS, recreationNeeded, restoreHindrances } from "./recreation.ts";
export {
  admissionNeeded,
  LEVELS,
  type Level,
  type PodSecurityPolicy,
  policyOf,
  violationOf,
} from "./pod-security/policy.ts";
export { asNode } from "./schema/node.ts";
export { checkpointCRD, containerCRD } from "./crd.ts";
export { unsupported } from "./unsupported.ts";
export { validate, validateUpdate } from "./validate.ts";
