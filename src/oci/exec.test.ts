import { describe, expect, it } from "@jest/globals";
import { execProcess } from "./exec.ts";
import type { OciProcess } from "./types.ts";

const CONTAINER: OciProcess = {
  terminal: true,
  consoleSize: { width: 80, height: 24 },
  user: { uid: 1000, gid: 1000, additionalGids: [1000, 2000] },
  args: ["server"],
  env: ["PATH=/bin", "A=1", "B=2"],
  cwd: "/srv",
  capabilities: { bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"] },
  rlimits: [{ type: "RLIMIT_NOFILE", soft: 1, hard: 2 }],
  noNewPrivileges: true,
  apparmorProfile: "berth-default",
  oomScoreAdj: 5,
};

describe("execProcess", () => {
  it("is the container's process but for command and terminal", () => {
    const { consoleSize: _, ...container } = CONTAINER;
    expect(execProcess(CONTAINER, { args: ["ls", "-l"] })).toEqual({
      ...container,
      args: ["ls", "-l"],
      terminal: false,
    });
  });

  it("takes what is asked for", () => {
    const process = execProcess(CONTAINER, {
      args: ["sh"],
      tty: true,
      env: ["B=3", "C=4", "A"],
      cwd: "/tmp",
      user: { uid: 0, gid: 0, additionalGids: [0], name: "root" },
      consoleSize: { width: 100, height: 30 },
    });
    expect(process).toMatchObject({
      terminal: true,
      env: ["TERM=xterm", "PATH=/bin", "B=3", "C=4"],
      cwd: "/tmp",
      user: { uid: 0, gid: 0, additionalGids: [0] },
      consoleSize: { width: 100, height: 30 },
      noNewPrivileges: true,
    });
  });

  it("leaves a TERM of the container's or the caller's as it is", () => {
    const container = { ...CONTAINER, env: ["TERM=vt100"] };
    expect(execProcess(container, { args: ["sh"], tty: true }).env).toEqual(["TERM=vt100"]);
    expect(execProcess(container, { args: ["sh"], tty: true, env: ["TERM=dumb"] }).env).toEqual(["TERM=dumb"]);
  });
});
