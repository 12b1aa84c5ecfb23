// What docs/from-docker.md shows beside docker run, applied as it stands but for the node and its port.
import { describe, expect, it } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import type { Container } from "../../../src/api/index.ts";
import { containerPath } from "../../../src/kube/index.ts";
import { blocks } from "../../docs/pages.ts";
import { berth } from "../../support/cli.ts";
import { untilEvent } from "../../support/events.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

/** Of its own: the page's names are those that anybody would take. */
const NAMESPACE = "documented";

/** The Containers on the page, in its order. */
const documented = (): Container[] =>
  blocks("docs/from-docker.md")
    .filter(({ language, text }) => language === "yaml" && text.includes("kind: Container"))
    .flatMap(({ text }) => parseAllDocuments(text).map((document) => document.toJS() as Container));

/** A port of the node that no other file's tests use. */
const hostPort = (): number => 21_000 + test().node.index;

describe("the examples beside docker run", () => {
  it("are up, healthy and linked, or done and gone", async () => {
    await test().cluster.controlPlane.kubectl(["create", "namespace", NAMESPACE]);
    const objects = documented();
    expect(objects.map(({ metadata }) => metadata.name)).toEqual(["web", "once", "quiet", "api", "app"]);
    const created: Container[] = [];
    for (const { metadata, spec, ...rest } of objects) {
      const ports = spec.ports?.map((port) => ({ ...port, ...(port.hostPort ? { hostPort: hostPort() } : {}) }));
      const here = { ...spec, nodeName: test().node.name, ...(ports ? { ports } : {}) };
      created.push(await test().api.create<Container>(containerPath(NAMESPACE), { ...rest, metadata, spec: here }));
    }
    for (const container of created) {
      if (container.spec.autoRemove === true) await untilEvent(test(), container, "Exited");
      else await test().untilCondition(container, "Ready");
    }
    const answer = await fetch(`http://127.0.0.1:${hostPort()}/`, { signal: AbortSignal.timeout(10_000) });
    expect(await answer.text()).toBe("hello from berth\n");
    for (const container of created) {
      if (container.spec.autoRemove === true) await test().untilGone(container);
      else await test().delete(container);
    }
    expect(await berth(test(), ["volume", "rm", `${NAMESPACE}/site`])).toMatchObject({ code: 0 });
  });
});
