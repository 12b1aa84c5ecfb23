// What an image says about its containers: user, directory, volumes, stop signal.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { probe, runToEnd, untilOutput } from "../support/probe.ts";
import { useNode } from "../support/test-node.ts";

const node = useNode();

describe("an image's configuration", () => {
  it("is what a container runs with: Cmd, Env, User, WorkingDir", async () => {
    const created = await node().create({
      image: node().image("config"),
      command: [],
      terminationGracePeriodSeconds: 0,
    });
    await untilOutput(node(), created, "from the image\n");
    const stopped = await node().patch(created, { spec: { desiredState: "Stopped" } });
    await node().untilState(stopped, "Exited");
    expect(node().output(created)).toBe("from the image\n");

    const { output } = await probe(node(), "id -un; pwd; echo $GREETING $ORIGIN", { image: node().image("config") });
    expect(output).toBe("app\n/home/app\nhello image\n");
  });

  it("StopSignal is what a stop sends, spec.stopSignal comes first", async () => {
    const script = "trap 'echo usr1; exit 3' USR1; trap 'echo hup; exit 4' HUP; echo ready; sleep 3600 & wait";
    for (const [stopSignal, heard, exitCode] of [
      [undefined, "usr1", 3],
      ["HUP", "hup", 4],
    ] as const) {
      const created = await node().create({
        image: node().image("config"),
        command: ["sh", "-c", script],
        restartPolicy: "Never",
        ...(stopSignal === undefined ? {} : { stopSignal }),
      });
      await untilOutput(node(), created, "ready\n");
      const stopped = await node().patch(created, { spec: { desiredState: "Stopped" } });
      const { status } = await node().untilState(stopped, "Exited");
      expect(node().output(created)).toBe(`ready\n${heard}\n`);
      expect(status).toMatchObject({ exitCode, reason: "Error" });
    }
  });

  it("a User that is in no file of the image is InvalidSpec, and nothing is left", async () => {
    const before = await node().audit();
    const { container } = await runToEnd(node(), { image: node().image("user") });
    expect(container.status).toMatchObject({ state: "Exited", reason: "InvalidSpec", exitCode: 128 });
    expect(container.status?.message).toContain("spec.image: unable to find user ghost");
    expect(await node().leaks(before)).toEqual([]);
  });

  it("of an index, this platform's image is taken; one without it is not pulled", async () => {
    const { output } = await probe(node(), "uname -m", { image: node().image("multi") });
    expect(output.trim()).toBe(process.arch === "arm64" ? "aarch64" : "x86_64");

    const before = await node().audit();
    const foreign = await node().create({ image: node().image("foreign") });
    const { status } = await node().until(foreign, "refused", (now) => now.status?.exitCode !== undefined);
    expect(status).toMatchObject({ state: "Pending", exitCode: 128, startAttempts: 1 });
    expect(status?.reason).toMatch(/^(ErrImagePull|ImagePullBackOff)$/);
    expect(status?.message).toContain("it holds nothing for linux/");
    expect(await node().leaks(before)).toEqual([]);
  });
});

describe("a VOLUME of an image", () => {
  it("becomes an anonymous volume with the image's content and owners, kept over a restart, gone with the container", async () => {
    const created = await node().create({
      image: node().image("config"),
      command: ["sh", "-c", `cat /data/seed; stat -c '%U' /data /data/seed; echo changed > /data/seed`],
      restartPolicy: "Never",
    });
    const { metadata } = await node().untilState(created, "Exited");
    expect(node().output(created)).toBe("from the image\napp\napp\n");
    const volumes = join(node().node.dataDir, "containers", `${metadata.uid}-1`, "anonymous");
    expect(readdirSync(volumes)).toHaveLength(1);

    await node().patch(created, { metadata: { annotations: { "berth.dev/restartedAt": "once" } } });
    await node().until(created, "restarted", ({ status }) => status?.state === "Exited" && status.restartCount === 1);
    expect(node().output(created)).toBe("from the image\napp\napp\nchanged\napp\napp\n");

    await node().delete(created);
    expect(existsSync(volumes)).toBe(false);
  });

  it("is not made where a volumeMount covers it", async () => {
    const { container, output } = await probe(node(), "ls -A /data | wc -l; touch /data/file", {
      image: node().image("config"),
      volumes: [{ name: "v", emptyDir: {} }],
      volumeMounts: [{ name: "v", mountPath: "/data" }],
    });
    expect(output).toBe("0\n");
    expect(container.status?.exitCode).toBe(0);
    const { uid } = container.metadata;
    expect(existsSync(join(node().node.dataDir, "containers", `${uid}-1`, "anonymous"))).toBe(false);
  });
});
