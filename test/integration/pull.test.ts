// Images from real registries: policies, credentials, mirrors, platforms.
import { describe, expect, it } from "@jest/globals";
import { buildImages } from "../../hack/cluster/images.ts";
import { findTools } from "../../hack/cluster/tools.ts";
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import { createObject, registrySecret, untilEvents } from "../support/pulling.ts";
import { CONTAINERD, useNode } from "../support/test-node.ts";

const test = useNode();

const onContainerd2 = CONTAINERD === "2.1" ? it : it.skip;
const digestOf = ({ status }: Container): string => status?.imageDigest ?? "";

/** Gives a tag to another of the test images. */
async function push(tag: string, source: "files" | "config"): Promise<void> {
  const images = await buildImages(findTools());
  const image = images.find(({ repository, tags }) => repository === "berth/test" && tags.includes(source));
  if (image === undefined) throw new Error(`there is no test image ${source}`);
  await test().cluster.registry.push({ ...image, repository: "berth/policy", tags: [tag] });
}

/** Runs an image once and answers the Container. */
async function pulled(spec: Partial<ContainerSpec>): Promise<Container> {
  const created = await test().create({ command: ["true"], restartPolicy: "Never", ...spec });
  return test().untilCondition(created, "Complete");
}

describe("imagePullPolicy", () => {
  it("Always asks the registry at each creation, IfNotPresent only when the node lacks the image", async () => {
    const tag = `moves-${test().node.index}`;
    const image = `${test().cluster.registry.host}/berth/policy:${tag}`;
    await push(tag, "files");
    const first = await pulled({ image, imagePullPolicy: "IfNotPresent" });
    await push(tag, "config");
    const kept = await pulled({ image });
    const asked = await pulled({ image, imagePullPolicy: "Always", command: ["/bin/true"] });
    expect(digestOf(first)).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(digestOf(kept)).toBe(digestOf(first));
    expect(digestOf(asked)).not.toBe(digestOf(first));
    // The tag is the newest's now, also for those that don't ask.
    expect(digestOf(await pulled({ image, imagePullPolicy: "Never", command: ["/bin/true"] }))).toBe(digestOf(asked));
    await test().deleteAll();
  });

  it("Always asks when desiredState becomes Running, and not at a restart", async () => {
    const tag = `again-${test().node.index}`;
    const image = `${test().cluster.registry.host}/berth/policy:${tag}`;
    await push(tag, "files");
    const created = await test().create({ image, imagePullPolicy: "Always", terminationGracePeriodSeconds: 1 });
    const first = await test().untilCondition(created, "Ready");
    await push(tag, "config");
    await test().patch(created, { metadata: { annotations: { "berth.dev/restartedAt": "now" } } });
    const restarted = await test().until(created, "restarted", ({ status }) => status?.restartedAt === "now");
    expect(digestOf(restarted)).toBe(digestOf(first));
    await test().untilCondition(await test().patch(created, { spec: { desiredState: "Stopped" } }), "Ready");
    const running = await test().untilCondition(
      await test().patch(created, { spec: { desiredState: "Running" } }),
      "Ready",
    );
    expect(digestOf(running)).not.toBe(digestOf(first));
    await test().delete(created);
  });
});

describe("a private registry", () => {
  const image = (): string => `${test().cluster.registry.privateHost}/library/busybox:1.36`;
  const host = (): string => test().cluster.registry.privateHost;
  const name = (what: string): string => `${what}-${test().node.index}-${CONTAINERD.replace(".", "-")}`;
  const failed = async (spec: Partial<ContainerSpec>): Promise<Container> => {
    const created = await test().create({ image: image(), imagePullPolicy: "Always", ...spec });
    return test().until(created, "judged", ({ status }) => status?.startAttempts === 1);
  };

  it("without credentials: ErrImagePull, and what to do", async () => {
    const { status } = await failed({});
    expect(status).toMatchObject({ state: "Pending", reason: "ErrImagePull", exitCode: 128 });
    expect(status?.message).toContain(image());
    expect(status?.message).toContain("imagePullSecrets");
    await test().deleteAll();
  });

  it("with the wrong ones: ErrImagePull, saying whose were refused", async () => {
    await createObject(test(), "Secret", name("wrong"), registrySecret(host(), "berth", "not-it"));
    const { status } = await failed({ imagePullSecrets: [{ name: name("wrong") }] });
    expect(status).toMatchObject({ state: "Pending", reason: "ErrImagePull", exitCode: 128 });
    expect(status?.message).toContain(`${host()} refused the credentials of user "berth"`);
    expect(JSON.stringify(status)).not.toContain("not-it");
    await test().deleteAll();
  });

  it("with those of another registry: as without", async () => {
    await createObject(test(), "Secret", name("other"), registrySecret("registry.example.com", "a", "b"));
    const { status } = await failed({ imagePullSecrets: [{ name: name("other") }] });
    expect(status).toMatchObject({ reason: "ErrImagePull" });
    expect(status?.message).not.toContain("refused the credentials");
    await test().deleteAll();
  });

  it("with a Secret that is none for a registry: says what it must be", async () => {
    await createObject(test(), "Secret", name("opaque"), { stringData: { password: "p" } });
    const { status } = await failed({ imagePullSecrets: [{ name: name("opaque") }] });
    expect(status?.message).toContain(`secret "${name("opaque")}" of type "Opaque"`);
    expect(status?.message).toContain("kubectl create secret docker-registry");
    await test().deleteAll();
  });

  it("waits for a Secret that is missing, and goes on as soon as it is there", async () => {
    const secret = name("right");
    const created = await test().create({
      image: image(),
      imagePullPolicy: "Always",
      imagePullSecrets: [{ name: secret }],
    });
    const waiting = await test().until(created, "waiting", ({ status }) => status?.reason === "WaitingForSecret");
    expect(waiting.status).toMatchObject({ state: "Pending", message: expect.stringContaining(`"${secret}"`) });
    expect(waiting.status).not.toHaveProperty("exitCode");
    await createObject(test(), "Secret", secret, registrySecret(host(), "berth", "berth-secret"));
    const { status } = await test().untilCondition(created, "Ready");
    expect(status).not.toHaveProperty("message");
    await test().delete(created);
  });
});

describe("an image's name", () => {
  it("can be a digest, which the status then shows", async () => {
    const digest = digestOf(await pulled({}));
    const { status } = await pulled({ image: `${test().cluster.registry.host}/library/busybox@${digest}` });
    expect(status?.imageDigest).toBe(digest);
    await test().deleteAll();
  });

  it("can be of an index, from which this machine's platform is taken", async () => {
    await pulled({ image: test().image("multi") });
    await test().deleteAll();
  });

  it("of an image that is for other platforms only fails, saying for which it should be", async () => {
    const created = await test().create({ image: test().image("foreign") });
    const { status } = await test().until(created, "judged", ({ status }) => status?.startAttempts === 1);
    expect(status).toMatchObject({ state: "Pending", reason: "ErrImagePull", exitCode: 128 });
    expect(status?.message).toMatch(/platform|linux\/(amd64|arm64)/);
    await test().deleteAll();
  });

  onContainerd2("without a registry's host is looked for at the mirror of a hosts.toml folder (2.x)", async () => {
    const short = await pulled({ image: "busybox:1.36" });
    const long = await pulled({ image: "docker.io/library/busybox:1.36", imagePullPolicy: "Always" });
    expect(digestOf(long)).toBe(digestOf(short));
    await test().deleteAll();
  });
});

describe("a pull", () => {
  it("is told of by Events", async () => {
    const created = await test().create({ imagePullPolicy: "Always", command: ["true"], restartPolicy: "Never" });
    await test().untilCondition(created, "Complete");
    const events = await untilEvents(test(), created, ["Pulling", "Pulled", "Started", "Exited"]);
    const messages = new Map(events.map(({ reason, message }) => [reason, message]));
    expect(messages.get("Pulling")).toBe(`Pulling image "${test().image()}"`);
    expect(messages.get("Pulled")).toMatch(/^Pulled image ".*busybox:1\.36" in \d+\.\d s \(sha256:[0-9a-f]{64}\)$/);
    expect(events.every(({ type }) => type === "Normal")).toBe(true);
    await test().delete(created);
  });

  it("is shared by those who want the image at once", async () => {
    const spec: Partial<ContainerSpec> = { image: test().image("entrypoint"), command: [], restartPolicy: "Never" };
    const created = await Promise.all([1, 2, 3].map(() => test().create({ ...spec, imagePullPolicy: "Always" })));
    const ended = await Promise.all(created.map((container) => test().untilCondition(container, "Complete")));
    expect(new Set(ended.map(digestOf)).size).toBe(1);
    for (const container of ended) expect(test().output(container)).toBe("from cmd\n");
    await test().deleteAll();
  });

  it("that a change of the spec cuts short makes way for the next", async () => {
    const created = await test().create({ image: test().image("user"), imagePullPolicy: "Always" });
    const changed = await test().patch(created, { spec: { image: test().image("files") } });
    const { status } = await test().untilCondition(changed, "Ready");
    expect(status?.containerID).toBe(`containerd://${created.metadata.uid}-2`);
    await test().delete(created);
  });
});
