import { describe, expect, it } from "@jest/globals";
import { envSources, processEnv, resolveEnv, type EnvLookups } from "./env.ts";

const lookups: EnvLookups = {
  secret: (name) => (name === "db" ? { password: "s3cret", "9bad": "x" } : undefined),
  configMap: (name) => (name === "app" ? { B: "b", A: "a", ".": "dot", "..x": "dots" } : undefined),
  fields: { name: "web", namespace: "shop", uid: "u-1", nodeName: "node-1" },
};
const resolve = (spec: Parameters<typeof resolveEnv>[0]) => resolveEnv(spec, lookups);

describe("resolveEnv", () => {
  it("puts envFrom before env, later values over earlier ones, and lets a value see those before it", () => {
    const { variables, missing } = resolve({
      envFrom: [{ configMapRef: { name: "app" } }, { prefix: "DB_", secretRef: { name: "db" } }],
      env: [
        { name: "URL", value: "db:$(DB_password)@$(LATER)" },
        { name: "LATER", value: "1" },
        { name: "A", value: "over $(A)" },
        { name: "EMPTY" },
      ],
    });
    expect([...variables]).toEqual([
      ["A", "over a"],
      ["B", "b"],
      // With its prefix it is a name.
      ["DB_9bad", "x"],
      ["DB_password", "s3cret"],
      ["URL", "db:s3cret@$(LATER)"],
      ["LATER", "1"],
      ["EMPTY", ""],
    ]);
    expect(missing).toEqual([]);
  });

  it("skips keys of envFrom that make no name, and says so", () => {
    const { variables, skipped } = resolve({
      envFrom: [{ configMapRef: { name: "app" } }, { secretRef: { name: "db" } }],
    });
    expect([...variables.keys()]).toEqual(["A", "B", "password"]);
    expect(skipped).toEqual([
      { kind: "ConfigMap", name: "app", keys: [".", "..x"] },
      { kind: "Secret", name: "db", keys: ["9bad"] },
    ]);
  });

  it("knows which values come from Secrets, also by way of another variable", () => {
    const { secrets } = resolve({
      envFrom: [{ configMapRef: { name: "app" } }, { prefix: "DB_", secretRef: { name: "db" } }],
      env: [
        { name: "URL", value: "db:$(DB_password)@host" },
        { name: "AGAIN", value: "$(URL)" },
        { name: "CLEAN", value: "$(A) $(LATER)" },
        { name: "DB_9bad", value: "over it" },
        { name: "KEY", valueFrom: { secretKeyRef: { name: "db", key: "password" } } },
      ],
    });
    expect([...secrets].sort()).toEqual(["AGAIN", "DB_password", "KEY", "URL"]);
  });

  it("takes values from keys and fields, unexpanded", () => {
    const { variables } = resolveEnv(
      {
        env: [
          { name: "P", valueFrom: { secretKeyRef: { name: "s", key: "k" } } },
          { name: "C", valueFrom: { configMapKeyRef: { name: "c", key: "k" } } },
          { name: "N", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
          { name: "NS", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
          { name: "UID", valueFrom: { fieldRef: { fieldPath: "metadata.uid" } } },
          { name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
        ],
      },
      { ...lookups, secret: () => ({ k: "$(P)" }), configMap: () => ({ k: "" }) },
    );
    expect(Object.fromEntries(variables)).toEqual({
      P: "$(P)",
      C: "",
      N: "web",
      NS: "shop",
      UID: "u-1",
      NODE: "node-1",
    });
  });

  it("reports what is missing, object or key, unless it is optional", () => {
    const { variables, missing } = resolve({
      envFrom: [{ secretRef: { name: "gone" } }, { configMapRef: { name: "gone", optional: true } }],
      env: [
        { name: "K", valueFrom: { secretKeyRef: { name: "db", key: "nope" } } },
        { name: "T", valueFrom: { configMapKeyRef: { name: "app", key: "toString" } } },
        { name: "O", valueFrom: { secretKeyRef: { name: "gone", key: "k" } } },
        { name: "OPT", valueFrom: { secretKeyRef: { name: "gone", key: "k", optional: true } } },
      ],
    });
    expect(missing).toEqual([
      { kind: "Secret", name: "gone" },
      { kind: "Secret", name: "db", key: "nope" },
      { kind: "ConfigMap", name: "app", key: "toString" },
      { kind: "Secret", name: "gone" },
    ]);
    expect(variables.size).toBe(0);
  });
});

it("envSources names every Secret and ConfigMap once", () => {
  expect(
    envSources({
      envFrom: [{ secretRef: { name: "db" } }, { configMapRef: { name: "db" } }],
      env: [
        { name: "A", valueFrom: { secretKeyRef: { name: "db", key: "a" } } },
        { name: "B", valueFrom: { configMapKeyRef: { name: "app", key: "b" } } },
        { name: "C", value: "c" },
      ],
    }),
  ).toEqual([
    { kind: "Secret", name: "db" },
    { kind: "ConfigMap", name: "db" },
    { kind: "ConfigMap", name: "app" },
  ]);
});

describe("processEnv", () => {
  it("has Docker's order: defaults, image, spec; the last value of a name counts", () => {
    expect(
      processEnv({
        hostname: "web",
        tty: true,
        image: ["PATH=/bin", "X=image=1"],
        spec: ["X=spec", "Y="],
      }),
    ).toEqual(["PATH=/bin", "HOSTNAME=web", "TERM=xterm", "X=spec", "Y="]);
  });

  it("has a PATH in any case, TERM only with a terminal, and drops a name without a value", () => {
    expect(processEnv({ hostname: "h", tty: false, image: ["A=1"], spec: ["A"] })).toEqual([
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "HOSTNAME=h",
    ]);
  });
});
