import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "@jest/globals";
import { Volumes } from "./volumes.ts";

it("keeps the node's users out of what is the containers', whatever mode a volume has", async () => {
  const root = await mkdtemp(join(tmpdir(), "berth-volumes-"));
  try {
    const options = { stateDir: join(root, "state"), dataDir: join(root, "data") };
    const spec = { nodeName: "node-1", image: "busybox", volumes: [{ name: "open", emptyDir: {} }] };
    await new Volumes(options).prepare(
      "id-1",
      { namespace: "default", name: "web", spec, image: {} },
      { rootfs: [], isNew: true },
    );
    const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
    expect(await modeOf(join(options.dataDir, "containers/id-1/volumes/open"))).toBe("777");
    expect(await modeOf(join(options.dataDir, "containers"))).toBe("700");
    expect(await modeOf(join(options.stateDir, "containers"))).toBe("700");
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
