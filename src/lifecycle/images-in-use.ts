/** Which images must stay: those of containers, of whatever tool, of Containers about to have one, of pulls and checkpoints. */
import type { Container } from "../api/index.ts";
import { type Containerd, parseReference } from "../containerd/index.ts";
import type { ImagesInUse } from "./image-collector.ts";
import type { Parts } from "./parts.ts";

/** The objects of this node, as far as they are known. */
export interface NodeObjects {
  readonly synced: boolean;
  list(): readonly Container[];
}

type Sources = Pick<Parts, "records" | "checkpointData" | "pulls"> & {
  readonly objects: NodeObjects;
  readonly containerd: Pick<Containerd, "containers">;
};

/** What must stay; undefined before the API server has told which Containers there are. */
export async function imagesInUse({
  records,
  checkpointData,
  pulls,
  objects,
  containerd,
}: Sources): Promise<ImagesInUse | undefined> {
  const [{ containers }, own, uids] = await Promise.all([
    containerd.containers.list({}),
    records.list(),
    checkpointData.uids(),
  ]);
  const taken = await Promise.all(uids.map((uid) => checkpointData.read(uid)));
  // After all that takes time: none of them can come into being without an object or a pull that is seen now.
  if (!objects.synced) return undefined;
  return {
    names: new Set([...containers.map(({ image }) => image), ...namesOf(objects), ...pulls.names()]),
    digests: new Set([
      ...own.map(({ applied }) => applied.image.digest),
      ...taken.flatMap((checkpoint) => (checkpoint === undefined ? [] : [checkpoint.applied.image.digest])),
    ]),
  };
}

/** Whether an object names an image now, or it is being pulled. */
export function isImageWanted({ objects, pulls }: Pick<Sources, "objects" | "pulls">, name: string): boolean {
  return namesOf(objects).includes(name) || pulls.names().includes(name);
}

function namesOf(objects: NodeObjects): string[] {
  return objects.list().flatMap(({ spec }) => {
    try {
      return [parseReference(spec.image).canonical];
    } catch {
      return []; // It names nothing that can be there.
    }
  });
}
