// Secrets, ConfigMaps and fields in a container's environment: what is missing is waited for, by name.
import { beforeAll, describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { configMapPath } from "../../../src/kube/index.ts";
import { probe, valuesOf } from "../../support/probe.ts";
import { createObject, untilEvents } from "../../support/pulling.ts";
import { CONTAINERD, useNode } from "../../support/test-node.ts";

const test = useNode();

/** A name that no other run of this file has used. */
const name = (what: string): string => `${what}-${test().node.index}-${CONTAINERD.replace(".", "-")}`;
const base64 = (text: string): string => Buffer.from(text).toString("base64");

type EnvVar = NonNullable<ContainerSpec["env"]>[number];
const fromSecret = (variable: string, secret: string, key: string, optional = false): EnvVar => ({
  name: variable,
  valueFrom: { secretKeyRef: { name: secret, key, optional } },
});
const fromConfigMap = (variable: string, configMap: string, key: string, optional = false): EnvVar => ({
  name: variable,
  valueFrom: { configMapKeyRef: { name: configMap, key, optional } },
});

beforeAll(async () => {
  await createObject(test(), "Secret", name("login"), {
    data: { USER: base64("berth"), PASSWORD: base64("p$(USER)\n") },
  });
  await createObject(test(), "ConfigMap", name("settings"), { data: { LEVEL: "high", USER: "nobody", "2nd": "x" } });
});

describe("an environment", () => {
  it("takes values of Secrets, ConfigMaps and the Container's own fields", async () => {
    const field = (
      variable: string,
      fieldPath: "metadata.name" | "metadata.namespace" | "metadata.uid" | "spec.nodeName",
    ) => ({
      name: variable,
      valueFrom: { fieldRef: { fieldPath } },
    });
    const { container, output } = await probe(test(), "env", {
      env: [
        fromSecret("PASS", name("login"), "PASSWORD"),
        fromConfigMap("LEVEL", name("settings"), "LEVEL"),
        field("NAME", "metadata.name"),
        field("NAMESPACE", "metadata.namespace"),
        field("UID_OF_IT", "metadata.uid"),
        field("NODE", "spec.nodeName"),
        { name: "GREETING", value: "$(NAME) on $(NODE), $$(NAME), $(NOTHING)" },
      ],
    });
    const { metadata, spec } = container;
    expect(valuesOf(output)).toMatchObject({
      PASS: "p$(USER)",
      LEVEL: "high",
      NAME: metadata.name,
      NAMESPACE: "default",
      UID_OF_IT: metadata.uid,
      NODE: spec.nodeName,
      GREETING: `${metadata.name} on ${spec.nodeName}, $(NAME), $(NOTHING)`,
    });
    await test().delete(container);
  });

  it("takes all keys of envFrom, the last source's first and env's before all", async () => {
    const { container, output } = await probe(test(), "env", {
      envFrom: [
        { secretRef: { name: name("login") } },
        { configMapRef: { name: name("settings") } },
        { prefix: "MY_", secretRef: { name: name("login") } },
        { configMapRef: { name: "there-is-none", optional: true } },
      ],
      env: [{ name: "LEVEL", value: "low" }],
    });
    const values = valuesOf(output);
    expect(values).toMatchObject({ USER: "nobody", MY_USER: "berth", LEVEL: "low" });
    const events = await untilEvents(test(), container, ["InvalidEnvironmentVariableNames"]);
    expect(events.map(({ message }) => message)).toContainEqual(expect.stringContaining("2nd"));
    await test().delete(container);
  });

  it("goes without what is missing and optional", async () => {
    const { container, output } = await probe(test(), "env", {
      env: [
        fromSecret("A", "there-is-none", "KEY", true),
        fromSecret("B", name("login"), "NO_KEY", true),
        fromConfigMap("C", "there-is-none", "KEY", true),
        fromConfigMap("D", name("settings"), "NO_KEY", true),
      ],
    });
    const values = valuesOf(output);
    for (const variable of ["A", "B", "C", "D"]) expect(values).not.toHaveProperty(variable);
    await test().delete(container);
  });

  it("keeps no Secret's value in the status or in the agent's log", async () => {
    const secret = name("hidden");
    await createObject(test(), "Secret", secret, { data: { TOKEN: base64("very-hidden-value") } });
    const { container } = await probe(test(), "exit 1", { env: [fromSecret("TOKEN", secret, "TOKEN")] });
    expect(JSON.stringify(container)).not.toContain("very-hidden-value");
    expect(test().agentLog(10_000)).not.toContain("very-hidden-value");
    await test().delete(container);
  });
});

describe("what is missing", () => {
  const waits = async (container: Container, reason: string, ...says: string[]): Promise<void> => {
    const { status } = await test().until(container, `in ${reason}`, (now) => now.status?.reason === reason);
    expect(status).toMatchObject({ state: "Pending", observedGeneration: container.metadata.generation });
    for (const part of says) expect(status?.message).toContain(part);
    for (const field of ["exitCode", "startAttempts", "nextRetryAt"]) expect(status).not.toHaveProperty(field);
  };
  const starts = async (container: Container, variable: string, value: string): Promise<void> => {
    const { status } = await test().untilCondition(container, "Complete");
    expect(status).not.toHaveProperty("message");
    expect(valuesOf(test().output(container))).toMatchObject({ [variable]: value });
    await test().delete(container);
  };
  const create = async (spec: Partial<ContainerSpec>, namespace = "default"): Promise<Container> =>
    test().create({ command: ["env"], restartPolicy: "Never", ...spec }, { namespace });

  it("is a Secret: the start goes on as soon as it is created", async () => {
    const secret = name("late");
    const created = await create({ env: [fromSecret("A", secret, "KEY")] });
    await waits(created, "WaitingForSecret", `secret "${secret}"`, 'namespace "default"');
    await createObject(test(), "Secret", secret, { data: { KEY: base64("1") } });
    await starts(created, "A", "1");
  });

  it("is a key of a ConfigMap: the start goes on as soon as it is added", async () => {
    const configMap = name("growing");
    await createObject(test(), "ConfigMap", configMap, { data: { OTHER: "0" } });
    const created = await create({ env: [fromConfigMap("A", configMap, "KEY")] });
    await waits(created, "WaitingForConfigMap", `configmap "${configMap}"`, 'no key "KEY"');
    await test().api.mergePatch(configMapPath("default", configMap), { data: { KEY: "2" } });
    await starts(created, "A", "2");
  });

  it("is more than one: each is waited for in turn", async () => {
    const [first, second] = [name("first"), name("second")];
    const created = await create({
      envFrom: [{ configMapRef: { name: first } }],
      env: [fromSecret("A", second, "KEY")],
    });
    await waits(created, "WaitingForConfigMap", first);
    await createObject(test(), "ConfigMap", first, { data: { B: "3" } });
    await waits(created, "WaitingForSecret", second);
    await createObject(test(), "Secret", second, { data: { KEY: base64("4") } });
    await starts(created, "B", "3");
  });

  it("is no longer waited for when the spec no longer names it", async () => {
    const created = await create({ env: [fromSecret("A", "there-is-none", "KEY")] });
    await waits(created, "WaitingForSecret", "there-is-none");
    await starts(await test().patch(created, { spec: { env: [{ name: "A", value: "5" }] } }), "A", "5");
  });

  it("is waited for over a restart of the agent", async () => {
    const secret = name("patience");
    const created = await create({ env: [fromSecret("A", secret, "KEY")] });
    await waits(created, "WaitingForSecret", secret);
    await test().node.stopAgent("kill");
    test().node.startAgent();
    await test().node.agentReady();
    await createObject(test(), "Secret", secret, { data: { KEY: base64("6") } });
    await starts(created, "A", "6");
  });

  it("is a namespace's right: the message names it, and the start goes on when it is granted", async () => {
    const namespace = name("rights");
    const { controlPlane } = test().cluster;
    await controlPlane.kubectl(["create", "namespace", namespace]);
    await createObject(test(), "Secret", name("own"), { data: { KEY: base64("7") } }, namespace);
    const created = await create({ env: [fromSecret("A", name("own"), "KEY")] }, namespace);
    await waits(created, "WaitingForSecret", `secrets "${name("own")}" is forbidden`, `namespace "${namespace}"`);
    const image = `${test().cluster.registry.privateHost}/library/busybox:1.36`;
    const pulls = await create({ image, imagePullSecrets: [{ name: name("own") }] }, namespace);
    await waits(pulls, "WaitingForSecret", `secrets "${name("own")}" is forbidden`);
    await test().delete(pulls);
    const binding = ["--clusterrole=berth-references", "--serviceaccount=berth-system:berth"];
    await controlPlane.kubectl(["create", "rolebinding", "berth-references", "-n", namespace, ...binding]);
    await starts(created, "A", "7");
  });
});

it("the agent may do no more than its ClusterRole says", async () => {
  const can = async (...what: string[]): Promise<string> => {
    const as = ["--as=system:serviceaccount:berth-system:berth"];
    const asked = test().cluster.controlPlane.kubectl(["auth", "can-i", ...what, ...as]);
    return (await asked.catch(() => "no")).trim();
  };
  expect(await can("get", "secrets", "-n", "default")).toBe("yes");
  expect(await can("get", "secrets", "-n", "kube-system")).toBe("no");
  expect(await can("create", "containers.berth.dev")).toBe("no");
  expect(await can("list", "pods")).toBe("no");
});
