// Starts that fail by a volume's source, on real mounts: mismatches, which are final, and what the node lacks, which is
// tried again until it is there.
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type ContainerSpec, RESTARTED_AT, type Volume } from "../../../src/api/index.ts";
import { expectFailedStart, MOUNT_MISMATCH, VOLUME_SETUP_FAILED } from "../../support/failed-start.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

/** Sources on the host: a file, a directory, a socket, and names for what a test makes or misses. */
let host = "";
let socket: Server;

beforeAll(async () => {
  host = await mkdtemp(join(tmpdir(), "berth-sources-"));
  await writeFile(join(host, "file"), "from the node\n");
  await mkdir(join(host, "directory"));
  socket = createServer();
  await new Promise<void>((resolve) => socket.listen(join(host, "socket"), resolve));
});
afterAll(async () => {
  await new Promise((resolve) => socket.close(resolve));
  await rm(host, { recursive: true });
});

type HostPath = NonNullable<Volume["hostPath"]>;

/** A Container with one hostPath volume. */
function mounting(source: string, mountPath: string, type?: HostPath["type"]): Partial<ContainerSpec> {
  const hostPath: HostPath = { path: join(host, source), ...(type === undefined ? {} : { type }) };
  return {
    image: test().image("files"),
    volumes: [{ name: "source", hostPath }],
    volumeMounts: [{ name: "source", mountPath }],
  };
}

describe("a mount on the wrong kind of file", () => {
  it.each([
    ["a file on a directory", "file", "/directory"],
    ["a directory on a file", "directory", "/file"],
    ["a directory on a path below a file", "directory", "/file/below"],
  ])("ends with 127 and asks Docker's question: %s", async (_, source, mountPath) => {
    const failed = await expectFailedStart(test(), mounting(source, mountPath), {
      ...MOUNT_MISMATCH,
      says: [...MOUNT_MISMATCH.says, join(host, source), mountPath],
    });
    await test().delete(failed);
  });

  it("is tried again when berth.dev/restartedAt changes, and starts when the source was put right", async () => {
    await writeFile(join(host, "repaired"), "not yet\n");
    const failed = await expectFailedStart(test(), mounting("repaired", "/directory"), MOUNT_MISMATCH);
    await rename(join(host, "repaired"), join(host, "replaced"));
    await mkdir(join(host, "repaired"));
    await test().patch(failed, { metadata: { annotations: { [RESTARTED_AT]: "2026-01-01T00:00:00Z" } } });
    const { status } = await test().untilState(failed, "Running");
    expect(status).toMatchObject({ restartedAt: "2026-01-01T00:00:00Z", restartCount: 0 });
    for (const gone of ["exitCode", "error", "message", "startAttempts"]) expect(status).not.toHaveProperty(gone);
    await test().delete(failed);
  });
});

describe("a source that the node lacks", () => {
  it.each<[string, string, HostPath["type"], string, string]>([
    ["nothing where a directory must be", "missing", "Directory", "a directory is wanted", "found nothing"],
    ["nothing where a file must be", "missing", "File", "a file is wanted", "found nothing"],
    ["a file where a directory must be", "file", "Directory", "a directory is wanted", "found a file"],
    ["a directory where a socket must be", "directory", "Socket", "a socket is wanted", "found a directory"],
    ["a file where a device must be", "file", "BlockDevice", "a block device is wanted", "found a file"],
    ["a socket where a file must be", "socket", "File", "a file is wanted", "found a socket"],
    ["a path below a file", "file/below", undefined, "a part of the path is not a directory", "volume source"],
    ["a path below nothing, for a file to be made", "missing/below", "FileOrCreate", "no such file", "volume source"],
  ])("is waited for: %s", async (_, source, type, wanted, found) => {
    const failed = await expectFailedStart(test(), mounting(source, "/mnt", type), {
      ...VOLUME_SETUP_FAILED,
      says: ["volume source", join(host, source), wanted, found],
    });
    await test().delete(failed);
  });

  it("starts by itself once it is there", async () => {
    const failed = await expectFailedStart(test(), mounting("later", "/mnt", "Directory"), {
      ...VOLUME_SETUP_FAILED,
      says: [join(host, "later")],
    });
    await mkdir(join(host, "later"));
    const { status } = await test().untilCondition(failed, "Ready");
    expect(status).toMatchObject({ state: "Running", restartCount: 0 });
    for (const gone of ["exitCode", "error", "message", "startAttempts", "nextRetryAt"]) {
      expect(status).not.toHaveProperty(gone);
    }
    await test().delete(failed);
  });

  it("doubles its waits", async () => {
    const container = await test().create(mounting("never", "/mnt", "Directory"));
    const retries: number[] = [];
    for (let attempt = 1; attempt <= 3; attempt++) {
      const { status } = await test().until(
        container,
        `tried ${String(attempt)} times`,
        (now) => (now.status?.startAttempts ?? 0) >= attempt,
      );
      retries.push(Date.parse(status?.nextRetryAt ?? ""));
    }
    await test().delete(container);
    const [first = NaN, second = NaN, third = NaN] = retries;
    expect(second - first).toBeGreaterThanOrEqual(2000);
    expect(third - second).toBeGreaterThanOrEqual(4000);
  });
});
