import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { type Container, withDefaults } from "../api/index.ts";
import { FakeServer, json, line, silent, status, until } from "../kube/fake-server.test-support.ts";
import { PodSecurity } from "./pod-security.ts";

const ENFORCE = "pod-security.kubernetes.io/enforce";
const PRIVILEGED = { securityContext: { privileged: true } };

type Namespace = { metadata: { name: string; uid: string; resourceVersion: string; labels: Record<string, string> } };
const namespace = (resourceVersion: number, labels: Record<string, string>): Namespace => ({
  metadata: { name: "ns", uid: "u", resourceVersion: String(resourceVersion), labels },
});

function container(spec: object, more: object = {}): Container {
  const metadata = { name: "c", namespace: "ns", uid: "u", generation: 1, resourceVersion: "1" };
  const complete = withDefaults({ nodeName: "n", image: "i", ...spec });
  return { apiVersion: "berth.dev/v1alpha1", kind: "Container", metadata, spec: complete, ...more };
}

/** What a list and a GET answer; undefined: a refusal. */
type Answers = { list: Namespace[] | undefined; get: Namespace | undefined };

describe("PodSecurity", () => {
  let server: FakeServer;
  let answers: Answers;
  let watch: ServerResponse | undefined;
  let requeued: string[];
  let podSecurity: PodSecurity;

  beforeEach(async () => {
    answers = { list: [], get: undefined };
    [watch, requeued] = [undefined, []];
    server = await FakeServer.start((_, response, url) => {
      const refuse = () => {
        json(response, 403, status(403, "Forbidden", `GET ${url.pathname} is forbidden`));
      };
      if (url.searchParams.has("watch")) {
        response.writeHead(200).flushHeaders();
        watch = response;
      } else if (url.pathname.endsWith("/ns")) {
        if (answers.get === undefined) refuse();
        else json(response, 200, answers.get);
      } else if (answers.list === undefined) refuse();
      else json(response, 200, { metadata: { resourceVersion: "10" }, items: answers.list });
    });
    podSecurity = new PodSecurity({
      api: server.api(),
      fallback: "privileged",
      requeue: (key) => requeued.push(key),
      logger: silent,
    });
  });
  afterEach(async () => {
    await podSecurity.stop();
    await server.close();
  });

  const refusal = (spec: object, admitted?: object) =>
    podSecurity.refusal("ns/c", container(spec), admitted === undefined ? undefined : container(admitted).spec);
  const follow = async (...list: Namespace[]): Promise<void> => {
    answers.list = list;
    podSecurity.start();
    await until(() => watch !== undefined);
    server.takeRequests();
  };

  it("refuses what the namespace's labels forbid, with what to do, and asks for nothing that the watch has told", async () => {
    await follow(namespace(5, { [ENFORCE]: "baseline" }));
    const words =
      'violates PodSecurity "baseline:latest": privileged (container "c" must not set securityContext.privileged=true)';
    expect(await refusal(PRIVILEGED)).toEqual({
      reason: "Forbidden",
      exitCode: 128,
      state: "Exited",
      final: true,
      error: words,
      message: `${words}; change the spec, or the labels pod-security.kubernetes.io/enforce of namespace "ns"`,
    });
    expect(await refusal({})).toBeUndefined();
    expect(server.requests).toEqual([]);
  });

  it("asks for a namespace that the watch has not told of yet", async () => {
    await follow();
    answers.get = namespace(11, { [ENFORCE]: "baseline" });
    expect(await refusal(PRIVILEGED)).toMatchObject({ reason: "Forbidden" });
    answers.get = namespace(12, {});
    expect(await refusal(PRIVILEGED)).toBeUndefined();
    expect(server.requests).toEqual(["GET /api/v1/namespaces/ns", "GET /api/v1/namespaces/ns"]);
  });

  it("makes nothing new while nothing is known of a namespace, and goes on when it is", async () => {
    answers.list = undefined;
    podSecurity.start();
    const waiting = await refusal({});
    expect(waiting).toMatchObject({ reason: "WaitingForNamespace", state: "Pending", final: false });
    expect(waiting?.message).toMatch(/namespace "ns" .*not known.*is forbidden/);
    expect(requeued).toEqual([]);
    answers.list = [namespace(5, {})];
    await until(() => requeued.length > 0);
    expect(await refusal(PRIVILEGED)).toBeUndefined();
    expect(requeued).toEqual(["ns/c"]);
  });

  it("leaves what was admitted alone, asking nobody, until it would become another container", async () => {
    answers.list = undefined;
    expect(await refusal({ ...PRIVILEGED, desiredState: "Stopped" }, PRIVILEGED)).toBeUndefined();
    expect(server.requests).toEqual([]);
    await follow(namespace(5, { [ENFORCE]: "baseline" }));
    expect(await refusal({ ...PRIVILEGED, restartPolicy: "Never" }, PRIVILEGED)).toBeUndefined();
    expect(await refusal({ ...PRIVILEGED, image: "j" }, PRIVILEGED)).toMatchObject({ reason: "Forbidden" });
    expect(await refusal({}, PRIVILEGED)).toBeUndefined();
  });

  it("says nothing of what is not made any more", async () => {
    await follow(namespace(5, { [ENFORCE]: "baseline" }));
    const failed = { type: "Failed", status: "True", observedGeneration: 1 };
    const told = (reason: string) => container(PRIVILEGED, { status: { reason, conditions: [failed] } });
    expect(await podSecurity.refusal("ns/c", told("Error"), undefined)).toBeUndefined();
    expect(await podSecurity.refusal("ns/c", told("Forbidden"), undefined)).toMatchObject({ reason: "Forbidden" });
    const { metadata } = container({});
    const deleted = container(PRIVILEGED, { metadata: { ...metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } });
    expect(await podSecurity.refusal("ns/c", deleted, undefined)).toBeUndefined();
  });

  it("has those looked at again that it refused, when the level or version becomes another", async () => {
    await follow(namespace(5, { [ENFORCE]: "baseline" }));
    await refusal(PRIVILEGED);
    await podSecurity.refusal("ns/allowed", container({}), undefined);
    await podSecurity.refusal("ns/gone", container(PRIVILEGED), undefined);
    podSecurity.forget("ns/gone");
    watch?.write(line("MODIFIED", namespace(11, { [ENFORCE]: "baseline", team: "a" })));
    watch?.write(line("MODIFIED", namespace(12, { [ENFORCE]: "privileged", team: "a" })));
    await until(() => requeued.length > 0);
    expect(requeued).toEqual(["ns/c"]);
    expect(await refusal(PRIVILEGED)).toBeUndefined();
    watch?.write(line("MODIFIED", namespace(13, { [ENFORCE]: "restricted" })));
    while ((await refusal(PRIVILEGED)) === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(requeued).toEqual(["ns/c"]);
  });
});
