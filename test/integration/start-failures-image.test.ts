// Starts that fail for want of an image, on a real registry. Those that another try may heal are tried again.
import { createServer } from "node:net";
import { describe, expect, it } from "@jest/globals";
import { expectFailedStart, type ExpectedFailure, expectVerdict } from "../support/failed-start.ts";
import { CONTAINERD, useNode } from "../support/test-node.ts";

const test = useNode();

const PULL_FAILED = { exitCode: 128, reason: "ErrImagePull", state: "Pending" } as const;

describe("an image that can't be pulled", () => {
  it.each<[string, () => string, string[]]>([
    ["no such repository", () => test().image().replace("busybox", "nothing"), ["not found"]],
    ["no such tag", () => test().image("no-such-tag"), ["no-such-tag", "not found"]],
    ["none for this machine's platform", () => test().image("foreign"), ["foreign"]],
    ["no credentials", () => privateImage(), ["busybox:1.36", "401"]],
  ])("is ErrImagePull: %s", async (_, image, says) => {
    const failed = await expectFailedStart(test(), { image: image() }, { ...PULL_FAILED, says: [image(), ...says] });
    await test().delete(failed);
  });

  it("is ErrImagePull: nobody listens at the registry's address", async () => {
    const image = `127.0.0.1:${String(await freePort())}/library/busybox:1.36`;
    const expected: ExpectedFailure = { ...PULL_FAILED, says: [image, "connection refused"] };
    await test().delete(await expectFailedStart(test(), { image }, expected));
  });

  it("is ImagePullBackOff from the second try on, with growing waits", async () => {
    const image = test().image("no-such-tag");
    const container = await test().create({ image });
    const retries: number[] = [];
    for (let attempt = 1; attempt <= 3; attempt++) {
      const failed = await test().until(
        container,
        `tried ${String(attempt)} times`,
        ({ status }) => (status?.startAttempts ?? 0) >= attempt && /ImagePull/.test(status?.reason ?? ""),
      );
      const reason = attempt === 1 ? "ErrImagePull" : "ImagePullBackOff";
      expectVerdict(failed, { ...PULL_FAILED, reason, says: [image, "not found"] });
      expect(failed.status?.startAttempts).toBe(attempt);
      retries.push(Date.parse(failed.status?.nextRetryAt ?? ""));
    }
    await test().delete(container);
    const [first = NaN, second = NaN, third = NaN] = retries;
    expect(second - first).toBeGreaterThanOrEqual(2000);
    expect(third - second).toBeGreaterThanOrEqual(4000);
  });

  it("is tried afresh with another image, and may start then", async () => {
    const failed = await expectFailedStart(
      test(),
      { image: test().image("no-such-tag") },
      { ...PULL_FAILED, says: ["no-such-tag"] },
    );
    const repaired = await test().patch(failed, { spec: { image: test().image() } });
    const { status } = await test().untilState(repaired, "Running");
    for (const gone of ["exitCode", "error", "message", "startAttempts"]) expect(status).not.toHaveProperty(gone);
    await test().delete(failed);
  });

  const mirrored = CONTAINERD === "2.1" ? it : it.skip;
  mirrored("names the image as it was asked for, not the mirror (containerd 2.x: mirrors)", async () => {
    const expected = { ...PULL_FAILED, says: ["docker.io/library/nothing:1", "not found"] };
    await test().delete(await expectFailedStart(test(), { image: "nothing:1" }, expected));
  });
});

describe("a private image", () => {
  it("is not given to a user of the registry with another password", async () => {
    const { username } = test().cluster.registry.credentials;
    const secret = await pullSecret(username, "wrong");
    const spec = { image: privateImage(), imagePullSecrets: [{ name: secret }] };
    const says = ["busybox:1.36", `refused the credentials of user "${username}"`];
    await test().delete(await expectFailedStart(test(), spec, { ...PULL_FAILED, says }));
  });

  it("starts with the credentials of imagePullSecrets", async () => {
    const { username, password } = test().cluster.registry.credentials;
    const secret = await pullSecret(username, password);
    const container = await test().create({ image: privateImage(), imagePullSecrets: [{ name: secret }] });
    await test().untilState(container, "Running");
    await test().delete(container);
  });

  it("is ErrImagePull when the secret is of another kind, naming it", async () => {
    const name = await createSecret("Opaque", { password: "berth-secret" });
    const spec = { image: privateImage(), imagePullPolicy: "Always" as const, imagePullSecrets: [{ name }] };
    const says = [`secret "${name}"`, "Opaque", ".dockerconfigjson"];
    await test().delete(await expectFailedStart(test(), spec, { ...PULL_FAILED, says }));
  });
});

describe("an image that is not asked for", () => {
  it("is ErrImageNeverPull, and starts once it is on the node", async () => {
    const image = test().image("multi");
    const failed = await expectFailedStart(
      test(),
      { image, imagePullPolicy: "Never" },
      { exitCode: 128, reason: "ErrImageNeverPull", state: "Pending", says: [image, "spec.imagePullPolicy is Never"] },
    );
    const puller = await test().create({ image });
    await test().untilState(puller, "Running");
    await test().untilState(failed, "Running");
    await test().delete(puller);
    await test().delete(failed);
  });

  it.each([
    ["uppercase in the repository", "Team/App", "must be lowercase"],
    ["no host name", "-registry.example.com/app", "is not a host name"],
    ["no tag", "app:-1", "tag"],
    ["no digest", "app@sha256:123", "64 lowercase hexadecimal digits"],
  ])("is InvalidImageName, for good: %s", async (_, image, why) => {
    const expected: ExpectedFailure = {
      exitCode: 128,
      reason: "InvalidImageName",
      state: "Pending",
      final: true,
      says: [image, why],
    };
    await test().delete(await expectFailedStart(test(), { image }, expected));
  });
});

/** The same busybox behind the door that asks for a name and a password. */
function privateImage(): string {
  return `${test().cluster.registry.privateHost}/library/busybox:1.36`;
}

async function pullSecret(username: string, password: string): Promise<string> {
  const auth = Buffer.from(`${username}:${password}`).toString("base64");
  const content = JSON.stringify({ auths: { [test().cluster.registry.privateHost]: { auth } } });
  return createSecret("kubernetes.io/dockerconfigjson", { ".dockerconfigjson": content });
}

async function createSecret(type: string, stringData: Record<string, string>): Promise<string> {
  const secret = await test().api.create<{ metadata: { name: string } }>("/api/v1/namespaces/default/secrets", {
    metadata: { generateName: "pull-" },
    type,
    stringData,
  });
  return secret.metadata.name;
}

/** A port that nobody listens at. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
