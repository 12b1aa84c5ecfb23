import type { DescMessage, JsonObject, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";

/** type_url under which containerd knows an OCI runtime spec as JSON. */
export const SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
/** type_url of an OCI process as JSON, for Tasks.Exec. */
export const PROCESS_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process";
/** type_url of OCI Linux resources as JSON, for Tasks.Update. */
export const LINUX_RESOURCES_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

/** A message as Any. containerd compares the bare type name: without the `type.googleapis.com/` that protobuf puts before it. */
export function packMessage<D extends DescMessage>(schema: D, message: MessageInitShape<D>): Any {
  return create(AnySchema, { typeUrl: schema.typeName, value: toBinary(schema, create(schema, message)) });
}

/** A JSON value as Any, under a type_url of containerd's or of Berth's own (a record's extensions take any). */
export function packJSON(typeUrl: string, value: object): Any {
  return create(AnySchema, { typeUrl, value: new TextEncoder().encode(JSON.stringify(value)) });
}

/**
 * The JSON of an Any made by packJSON; undefined when there is none or it isn't a JSON object. It can be packed again:
 * whole numbers that are too large for JavaScript (RLIM_INFINITY in a runtime spec) stay as they were written.
 */
export function unpackJSON(any: Any | undefined): JsonObject | undefined {
  if (any === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(any.value), keepLarge);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

function keepLarge(_key: string, value: unknown, context?: { source?: string }): unknown {
  const tooLarge = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
  return tooLarge && context?.source !== undefined ? JSON.rawJSON(context.source) : value;
}

/** The message in an Any, undefined when it is of another type. */
export function unpackMessage<D extends DescMessage>(schema: D, any: Any | undefined): MessageShape<D> | undefined {
  return any === undefined ? undefined : anyUnpack(any, schema);
}

/** An OCI runtime spec for a container's record. */
export function packSpec(spec: object): Any {
  return packJSON(SPEC_TYPE, spec);
}

/** OCI Linux resources for Tasks.Update. */
export function packLinuxResources(resources: object): Any {
  return packJSON(LINUX_RESOURCES_TYPE, resources);
}

/** An OCI process for Tasks.Exec. */
export function packProcess(process: object): Any {
  return packJSON(PROCESS_TYPE, process);
}
