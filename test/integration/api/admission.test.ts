// What a wrong manifest meets first: the API server, by the CRD's schema. Here the oldest one supported, without CEL.
import { describe, expect, it } from "@jest/globals";
import type { ContainerSpec } from "../../../src/api/index.ts";
import { ApiError } from "../../../src/kube/index.ts";
import { CommandError } from "../../../src/node/index.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

describe("the API server refuses, and names the field", () => {
  it.each<[string, object, RegExp]>([
    ["an unknown word", { desiredState: "Sleeping" }, /spec\.desiredState: Unsupported value: "Sleeping".*"Running"/],
    ["a missing image", { image: undefined }, /spec\.image: Required value/],
    ["an empty image", { image: "" }, /spec\.image: Invalid value: ""/],
    ["a missing nodeName", { nodeName: undefined }, /spec\.nodeName: Required value/],
    ["a quantity that is none", { resources: { limits: { memory: "lots" } } }, /spec\.resources\.limits\.memory/],
    ["a negative quantity", { resources: { limits: { cpu: -1 } } }, /spec\.resources\.limits\.cpu/],
    ["a port that is none", { ports: [{ containerPort: 70_000 }] }, /spec\.ports.*containerPort.*65535/],
    ["a negative grace period", { terminationGracePeriodSeconds: -1 }, /spec\.terminationGracePeriodSeconds/],
    ["a text for a list", { command: "sh" }, /spec\.command: Invalid value: "string"/],
    ["a number for a text", { hostname: 7 }, /spec\.hostname: Invalid value: "integer"/],
    ["a relative mount path", { volumeMounts: [{ name: "v", mountPath: "data" }] }, /spec\.volumeMounts.*mountPath/],
    ["a path out of its place", { workingDir: "/a/../b" }, /spec\.workingDir/],
    [
      "a variable given twice",
      {
        env: [
          { name: "A", value: "1" },
          { name: "A", value: "2" },
        ],
      },
      /spec\.env\[1\]: Duplicate value.*"A"/,
    ],
    [
      "two mounts at one path",
      {
        volumes: [{ name: "v", emptyDir: {} }],
        volumeMounts: [
          { name: "v", mountPath: "/v" },
          { name: "v", mountPath: "/v" },
        ],
      },
      /spec\.volumeMounts\[1\]: Duplicate value.*"\/v"/,
    ],
    ["a signal that is none", { stopSignal: "SIGNONSENSE" }, /spec\.stopSignal/],
  ])("%s", async (_, spec, says) => {
    await expect(test().create(spec as Partial<ContainerSpec>)).rejects.toThrow(says);
  });

  it.each([
    ["longer than 63 characters", "a".repeat(64)],
    ["with a dot", "a.b"],
  ])("a name %s", async (_, name) => {
    const refused = test().create({}, { name });
    await expect(refused).rejects.toThrow(/metadata\.name/);
    await expect(refused).rejects.toBeInstanceOf(ApiError);
  });

  it("takes a name of 63 characters, which runs", async () => {
    const container = await test().create({}, { name: String(test().node.index).padStart(63, "a") });
    await test().untilCondition(container, "Ready");
    await test().delete(container);
  });

  it("and kubectl shows it", async () => {
    const applied = test().cluster.controlPlane.kubectl(["apply", "-f", "-"], manifest({ restartPolicy: "Sometimes" }));
    const { stderr } = await commandError(applied);
    expect(stderr).toMatch(/spec\.restartPolicy: Unsupported value: "Sometimes".*"Never", "OnFailure", "Always"/);
  });

  it("kubectl refuses a field there is none of, which the server would drop", async () => {
    const applied = test().cluster.controlPlane.kubectl(["apply", "-f", "-"], manifest({ livenessProbe: {} }));
    expect((await commandError(applied)).stderr).toMatch(/unknown field.*livenessProbe/);
  });
});

describe("the API server completes", () => {
  it("the spec with its defaults", async () => {
    const { spec } = await test().create({ desiredState: "Stopped", network: {}, ports: [{ containerPort: 80 }] });
    expect(spec).toMatchObject({
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 10,
      runtime: "runc",
      network: { mode: "Bridge" },
      ports: [{ containerPort: 80, protocol: "TCP" }],
      logging: { maxSize: "10Mi", maxFiles: 3 },
    });
    // What depends on other fields is the agent's to say.
    expect(spec).not.toHaveProperty("imagePullPolicy");
    expect(spec).not.toHaveProperty("stopSignal");
  });

  it("drops fields it does not know", async () => {
    const spec: Partial<ContainerSpec> & { livenessProbe: object } = { desiredState: "Stopped", livenessProbe: {} };
    expect((await test().create(spec)).spec).not.toHaveProperty("livenessProbe");
  });

  it("an explanation of every field", async () => {
    const explain = (field: string): Promise<string> =>
      test().cluster.controlPlane.kubectl(["explain", `containers.spec${field}`]);
    const spec = (await explain("")).replaceAll(/\s+/g, " ");
    expect(spec).toContain("What the container is and how it runs.");
    expect((await explain(".nodeName")).replaceAll(/\s+/g, " ")).toContain("the node whose agent runs the container");
    expect((await explain(".ports.hostPort")).replaceAll(/\s+/g, " ")).toContain("Docker: --publish.");
  });

  it("columns for a person", async () => {
    const container = await test().create();
    await test().untilCondition(container, "Ready");
    const table = await test().cluster.controlPlane.kubectl(["get", "ctr", container.metadata.name, "-o", "wide"]);
    const [head = "", row = ""] = table.split("\n");
    expect(head.split(/\s+/)).toEqual(
      expect.arrayContaining(["NODE", "STATE", "EXIT", "RESTARTS", "IMAGE", "IP", "AGE", "DESIRED", "REASON"]),
    );
    expect(row).toMatch(new RegExp(`^${container.metadata.name} +${test().node.name} +Running `));
  });
});

function manifest(spec: object): string {
  return JSON.stringify({
    apiVersion: "berth.dev/v1alpha1",
    kind: "Container",
    metadata: { name: "refused", namespace: "default" },
    spec: { nodeName: test().node.name, image: "example.com/hello:1", ...spec },
  });
}

/** What a command said that must fail. */
async function commandError(command: Promise<unknown>): Promise<CommandError> {
  try {
    await command;
  } catch (error) {
    if (error instanceof CommandError) return error;
    throw error;
  }
  throw new Error("the command did not fail");
}
