// Who a container's process runs as, and with which words, environment, names and directory.
import { describe, expect, it } from "@jest/globals";
import type { ContainerSpec } from "../../src/api/index.ts";
import { probe, runToEnd } from "../support/probe.ts";
import { useNode } from "../support/test-node.ts";

const node = useNode();

/** Of the image: root, app (1000, also in group extra, 2000), nobody. */
describe("user", () => {
  it.each<[string, Partial<ContainerSpec>, string]>([
    ["nothing said", {}, "uid=0(root) gid=0(root) groups=0(root) HOME=/root"],
    ["a name", { user: "app" }, "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra) HOME=/home/app"],
    ["its uid", { user: "1000" }, "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra) HOME=/home/app"],
    ["name:group", { user: "app:extra" }, "uid=1000(app) gid=2000(extra) groups=2000(extra) HOME=/home/app"],
    ["name:gid", { user: "app:4000" }, "uid=1000(app) gid=4000 groups=4000 HOME=/home/app"],
    ["an unknown uid", { user: "1234" }, "uid=1234 gid=0(root) groups=0(root) HOME=/"],
    ["uid:gid", { user: "1234:5678" }, "uid=1234 gid=5678 groups=5678 HOME=/"],
    [
      "runAsUser, runAsGroup and supplementalGroups",
      { securityContext: { runAsUser: 1000, runAsGroup: 3000, supplementalGroups: [4000] } },
      "uid=1000(app) gid=3000 groups=2000(extra),3000,4000 HOME=/home/app",
    ],
    [
      "runAsNonRoot with a user that is not root",
      { user: "nobody", securityContext: { runAsNonRoot: true } },
      "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup) HOME=/",
    ],
  ])("%s", async (_, spec, expected) => {
    const { output } = await probe(node(), `echo "$(id) HOME=$HOME"`, spec);
    // The order of supplementary groups is the kernel's: it sorts them.
    expect(output.trimEnd()).toBe(expected);
  });

  it.each<[string, Partial<ContainerSpec>, string]>([
    ["an unknown name", { user: "ghost" }, "spec.user: unable to find user ghost: no matching entries in passwd file"],
    ["an unknown group", { user: "app:ghosts" }, "spec.user: unable to find group ghosts"],
    [
      "root, with runAsNonRoot",
      { securityContext: { runAsNonRoot: true } },
      'spec.securityContext.runAsNonRoot: the image\'s user "0" is root (uid 0)',
    ],
  ])("%s is InvalidSpec, and nothing is left", async (_, spec, message) => {
    const before = await node().audit();
    const { container } = await probe(node(), "id", spec);
    expect(container.status).toMatchObject({ state: "Exited", reason: "InvalidSpec", exitCode: 128 });
    expect(container.status?.message).toContain(message);
    expect(await node().leaks(before)).toEqual([]);
  });
});

describe("environment", () => {
  it("is PATH, HOSTNAME, the image's, the spec's, in Docker's order, with $(VAR) and the later value first", async () => {
    const { output } = await runToEnd(node(), {
      image: node().image("config"),
      command: ["env"],
      hostname: "web-1",
      env: [
        { name: "ORIGIN", value: "spec" },
        { name: "NAME", value: "berth" },
        { name: "WORDS", value: "$(NAME) $(GREETING) $$(NAME) $(UNKNOWN) $NAME" },
        { name: "EMPTY" },
        { name: "SELF", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
        { name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
      ],
    });
    expect(output.trimEnd().split("\n")).toEqual([
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "HOSTNAME=web-1",
      "GREETING=hello",
      "ORIGIN=spec",
      "NAME=berth",
      // Only the spec's own variables can be referred to, as in core/v1.
      "WORDS=berth $(GREETING) $(NAME) $(UNKNOWN) $NAME",
      "EMPTY=",
      "SELF=default",
      `NODE=${node().node.name}`,
      "HOME=/home/app",
    ]);
  });

  it("leaves HOME and PATH as they are given", async () => {
    const env = [
      { name: "HOME", value: "/elsewhere" },
      { name: "PATH", value: "/bin" },
    ];
    const { output } = await runToEnd(node(), { command: ["env"], env, user: "app" });
    expect(output.split("\n")).toEqual(expect.arrayContaining(["HOME=/elsewhere", "PATH=/bin"]));
    expect(output.match(/^HOME=/gm)).toHaveLength(1);
  });
});

describe("names", () => {
  it("are the Container's unless said otherwise", async () => {
    const script = "hostname; cat /etc/hostname; cat /proc/sys/kernel/domainname; echo $HOSTNAME";
    const plain = await probe(node(), script);
    const { name } = plain.container.metadata;
    expect(plain.output.split("\n")).toEqual([name, name, "(none)", name, ""]);

    const named = await probe(node(), script, { hostname: "web-1", domainname: "example.com" });
    expect(named.output.split("\n")).toEqual(["web-1", "web-1", "example.com", "web-1", ""]);
  });
});

describe("working directory", () => {
  it("is made where it is missing, root's, and is the image's unless said", async () => {
    const script = `pwd; stat -c '%U %a' .`;
    const made = await probe(node(), script, { workingDir: "/made/for/it" });
    expect(made.output).toBe("/made/for/it\nroot 755\n");
    const ofImage = await probe(node(), script, { image: node().image("config") });
    expect(ofImage.output).toBe("/home/app\napp 755\n");
    const given = await probe(node(), script, { image: node().image("config"), workingDir: "/tmp" });
    expect(given.output).toBe("/tmp\nroot 1777\n");
  });
});

describe("command and args", () => {
  it.each<[string, Partial<ContainerSpec>, string]>([
    ["neither: Entrypoint and Cmd", {}, "from cmd\n"],
    ["args: Entrypoint with them", { args: ["given", "$(WHO)"] }, "given berth\n"],
    ["command: without Entrypoint and Cmd", { command: ["echo"] }, "\n"],
    ["both: without Entrypoint and Cmd", { command: ["printf", "%s-"], args: ["a", "b"] }, "a-b-"],
  ])("%s", async (_, spec, expected) => {
    const env = [{ name: "WHO", value: "berth" }];
    const { output } = await runToEnd(node(), { image: node().image("entrypoint"), env, ...spec });
    expect(output).toBe(expected);
  });

  it("none at all is InvalidSpec, and nothing is left", async () => {
    const before = await node().audit();
    const { container } = await runToEnd(node(), { image: node().image("empty") });
    expect(container.status).toMatchObject({ state: "Exited", reason: "InvalidSpec", exitCode: 128 });
    expect(container.status?.message).toContain(
      "spec.command: no command specified, and the image has no Entrypoint or Cmd either",
    );
    // The image itself stays, of course.
    expect((await node().leaks(before)).filter((leak) => !leak.startsWith("image"))).toEqual([]);
  });
});
