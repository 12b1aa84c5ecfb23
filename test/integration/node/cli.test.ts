// The commands on the node: what they need of containerd.
import { beforeAll, describe, expect, it } from "@jest/globals";
import type { Container } from "../../../src/api/index.ts";
import { run } from "../../../src/node/index.ts";
import { berth, BERTH, startBerth } from "../../support/cli.ts";
import { untilOutput } from "../../support/probe.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();
let container: Container;
let name: string;

beforeAll(async () => {
  const created = await test().create({ user: "app", env: [{ name: "OF", value: "container" }], hostname: "inside" });
  container = await test().untilState(created, "Running");
  name = container.metadata.name;
});

describe("berth exec", () => {
  it("passes streams and exit code on", async () => {
    const script = "id -un; pwd; echo $OF $MORE; cat; echo oops >&2; exit 7";
    const args = ["exec", "-i", "-e", "MORE=more", "-w", "/tmp", name, "--", "sh", "-c", script];
    const said = await berth(test(), args, "from here\n");
    expect(said).toEqual({ code: 7, stdout: "app\n/tmp\ncontainer more\nfrom here\n", stderr: "oops\n" });
    // Without -i, there is nothing to read.
    expect(await berth(test(), ["exec", `default/${name}`, "cat"], "x")).toEqual({ code: 0, stdout: "", stderr: "" });
    const other = await berth(test(), ["exec", "-u", "root:2000", name, "id"]);
    expect(other.stdout).toContain("uid=0(root) gid=2000(extra)");
  });

  it("says what can't be run, with the shell's codes", async () => {
    const missing = await berth(test(), ["exec", name, "--", "nosuch"]);
    expect(missing).toMatchObject({ code: 127, stdout: "" });
    expect(missing.stderr).toContain('exec: "nosuch": executable file not found in $PATH');
    expect(await berth(test(), ["exec", name, "--", "/etc"])).toMatchObject({ code: 126 });
    const nobody = await berth(test(), ["exec", "-u", "ghost", name, "id"]);
    expect(nobody).toMatchObject({ code: 1, stderr: expect.stringContaining("unable to find user ghost") as unknown });
  });

  it("passes signals on", async () => {
    const command = startBerth(test(), [
      "exec",
      name,
      "sh",
      "-c",
      "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.1; done",
    ]);
    await command.until("ready");
    command.child.kill("SIGTERM");
    expect(await command.ended).toMatchObject({ code: 9, stdout: "ready\ngot it\n" });
  });

  it("is a terminal that follows the window's size, and gives the window back as it was", async () => {
    const inside = 'stty size; read w; until [ "$(stty size)" = "40 120" ]; do sleep 0.1; done; echo got $w; exit 8';
    const line = `tty; stty rows 31 cols 97; ${BERTH} exec -it ${name} -- sh -c '${inside}'; echo code $?; stty -a`;
    // A terminal of its own for the command.
    const command = startBerth(test(), [], ["script", "-qec", line, "/dev/null"]);
    await command.until("31 97");
    command.child.stdin.write("hello\r");
    const window = /^\/dev\/pts\/\d+/.exec(command.stdout())?.[0] ?? "";
    await run("stty", ["-F", window, "rows", "40", "cols", "120"]);
    await command.until("got hello");
    const { stdout } = await command.ended;
    expect(stdout).toMatch(/\r\n31 97\r\nhello\r\ngot hello\r\ncode 8\r\n/);
    for (const flag of ["icanon", "echo", "opost", "isig"]) expect(stdout).toMatch(new RegExp(`[ \n]${flag} `));
  });
});

describe("berth ps, inspect and logs", () => {
  it("tell what the node knows", async () => {
    const { stdout } = await berth(test(), ["ps"]);
    const [heading = "", ...rows] = stdout.trimEnd().split("\n");
    expect(heading.split(/ {2,}/)).toEqual(["NAMESPACE/NAME", "STATE", "EXIT", "RESTARTS", "IMAGE", "IP", "AGE", "ID"]);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatch(
      new RegExp(`^default/${name} +Running +0 +${container.spec.image} +\\d+s +${container.metadata.uid}-1$`),
    );
    const inspected = JSON.parse((await berth(test(), ["inspect", name])).stdout) as Record<string, unknown>;
    expect(inspected).toMatchObject({
      id: `${container.metadata.uid}-1`,
      status: { state: "Running", pid: container.status?.pid },
      task: { status: "running" },
      spec: { hostname: "inside" },
    });
  });

  it("show the output of one that has ended", async () => {
    const ended = await test().create({ command: ["sh", "-c", "seq 1 5; exit 3"], restartPolicy: "Never" });
    await test().untilState(ended, "Exited");
    await untilOutput(test(), ended, "5\n");
    expect(await berth(test(), ["logs", "--tail", "2", ended.metadata.name])).toMatchObject({
      code: 0,
      stdout: "4\n5\n",
    });
    const { stdout } = await berth(test(), ["ps", "--all"]);
    expect(stdout).toMatch(new RegExp(`^default/${ended.metadata.name} +Exited +3 +0 `, "m"));
    expect((await berth(test(), ["ps"])).stdout).not.toContain(`${ended.metadata.name} `);
    const refused = await berth(test(), ["exec", ended.metadata.name, "true"]);
    expect(refused).toEqual({
      code: 1,
      stdout: "",
      stderr: `berth: container default/${ended.metadata.name} is not running\n`,
    });
    await test().delete(ended);
  });
});
