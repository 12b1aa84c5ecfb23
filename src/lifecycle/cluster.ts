/** Which cluster the node's containers are of: another one's API server knows nothing of them, and must not be taken at its word. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ApiError, isUnavailable, type KubeObject } from "../kube/index.ts";
import { orMissing } from "../node/index.ts";
import type { Parts } from "./parts.ts";

/** It is there from a cluster's first moment, and its uid is as good as the cluster's name. */
const PATH = "/api/v1/namespaces/kube-system";
const FILE = "cluster";

/** The API server is another cluster's. */
export class ForeignCluster extends Error {
  override readonly name = "ForeignCluster";
}

/**
 * Makes sure that the API server is that of the cluster whose containers and checkpoints are on this node. To it all of
 * them would be deleted objects, as they are when the cluster's etcd was lost and a new one begun.
 *
 * @throws ForeignCluster; ApiUnavailable, ContainerdError when it can't be told now
 */
export async function checkCluster(parts: Parts, dataDir: string, signal: AbortSignal): Promise<void> {
  const uid = await clusterUID(parts, signal);
  if (uid === undefined) return;
  const file = join(dataDir, FILE);
  const known = (await orMissing(readFile(file, "utf8")))?.trim();
  if (known === uid) return;
  if (known !== undefined && known !== "" && (await hasAnything(parts))) {
    throw new ForeignCluster(
      `${parts.api.server} is the API server of another cluster (${uid}) than this node's containers are of (${known}): ` +
        `remove ${file} to have them removed, and the node work for this one`,
    );
  }
  try {
    // One that a crash leaves empty says nothing.
    await writeFile(file, `${uid}\n`);
  } catch (error) {
    parts.logger.warn({ err: error }, "which cluster this node is of can't be kept");
  }
}

async function clusterUID({ api, logger }: Parts, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await api.get<KubeObject>(PATH, { signal })).metadata.uid;
  } catch (error) {
    if (!(error instanceof ApiError) || isUnavailable(error)) throw error;
    logger.debug({ err: error }, "which cluster this is can't be told");
    return undefined;
  }
}

async function hasAnything({ records, checkpointData }: Parts): Promise<boolean> {
  return (await records.list()).length > 0 || (await checkpointData.uids()).length > 0;
}
