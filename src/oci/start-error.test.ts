import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "@jest/globals";
import { ContainerdError, ImagePullError } from "../containerd/index.ts";
import { SpecError } from "./errors.ts";
import { classifyStartError, ImageNeverPullError, StartError, startFailure, type StartStep } from "./start-error.ts";

const SHIM = "failed to create shim task: OCI runtime create failed: ";
const RUNC = `${SHIM}runc create failed: unable to start container process: `;
const INIT = `${RUNC}error during container init: `;

const answered = (details: string, code = status.UNKNOWN) => new ContainerdError("Tasks.Create", code, details);
const ofCreate = (details: string) => classifyStartError(answered(`${details}: unknown`), "create");

const FINAL = { state: "Exited", final: true };
const RETRIED = { state: "Pending", final: false, exitCode: 128 };

describe("what the runtime says of the command", () => {
  it.each([
    [`${RUNC}exec: "nope": executable file not found in $PATH`],
    [`${RUNC}exec: "/nope": stat /nope: no such file or directory`],
    // Docker takes this one for a mount.
    [`${RUNC}exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory`],
    [`${SHIM}crun: executable file \`nope\` not found in $PATH: No such file or directory`],
    // Names that look like something else.
    [`${RUNC}exec: "permission denied": executable file not found in $PATH`],
    [`${RUNC}exec: "is a directory\\" is a directory": executable file not found in $PATH`],
    [`${RUNC}exec: "/sbin/sysctl": stat /sbin/sysctl: no such file or directory`],
    [`${RUNC}exec: "/cgroup/netns": stat /cgroup/netns: no such file or directory`],
  ])("127 CommandNotFound: %s", (details) => {
    expect(ofCreate(details)).toMatchObject({ ...FINAL, exitCode: 127, reason: "CommandNotFound" });
  });

  it.each([
    [`${RUNC}exec: "/noexec": permission denied`],
    [`${RUNC}exec: "/dir": is a directory`],
    [`${SHIM}crun: open executable: Permission denied`],
    [`${INIT}chdir to cwd ("/root") set in config.json failed: permission denied`],
  ])("126 CommandNotExecutable: %s", (details) => {
    expect(ofCreate(details)).toMatchObject({ ...FINAL, exitCode: 126, reason: "CommandNotExecutable" });
  });

  it("is told without its layers, but kept in full as the error", () => {
    expect(ofCreate(`${RUNC}exec: "nope": executable file not found in $PATH`)).toEqual({
      ...FINAL,
      exitCode: 127,
      reason: "CommandNotFound",
      message: `exec: "nope": executable file not found in $PATH: check spec.command, or the image's own command`,
      error: `${RUNC}exec: "nope": executable file not found in $PATH: unknown`,
    });
  });
});

describe("what the runtime says of mounts", () => {
  it.each([
    [
      `${INIT}error mounting "/src" to rootfs at "/f": mount /src:/f (via /proc/self/fd/6), flags: 0x5000: not a directory`,
    ],
    [`${INIT}error mounting "/f" to rootfs at "/dir": create mountpoint for /dir mount: is a directory`],
    [`${INIT}error mounting "/src" to rootfs at "/f/z": open o_path procfd: open /rootfs/f/z: not a directory`],
    [`${SHIM}crun: mount \`/src\` to \`f\`: Not a directory`],
  ])("127 MountMismatch: %s", (details) => {
    const failure = ofCreate(details);
    expect(failure).toMatchObject({ ...FINAL, exitCode: 127, reason: "MountMismatch" });
    expect(failure.message).toContain(
      "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type",
    );
  });

  it.each([
    // Docker answers 127, as if the command were missing.
    [`${INIT}error mounting "/src" to rootfs at "/dst": stat /src: no such file or directory`],
    // Docker answers 126.
    [`${INIT}error mounting "/src" to rootfs at "/dst": mount /src:/dst: permission denied`],
    [`${SHIM}crun: mount \`/src\` to \`dst\`: Operation not permitted`],
  ])("128 VolumeSetupFailed, tried again: %s", (details) => {
    expect(ofCreate(details)).toMatchObject({ ...RETRIED, reason: "VolumeSetupFailed" });
  });
});

describe("what the runtime says of the rest", () => {
  it.each([
    [`${INIT}mkdir /file: not a directory`, "spec.workingDir"],
    [`${INIT}chdir to cwd ("/file") set in config.json failed: not a directory`, "spec.workingDir"],
    [`${INIT}open /proc/sys/net/ipv4/nope: no such file or directory`, "spec.securityContext.sysctls"],
    [`${INIT}write /proc/sys/net/ipv4/ip_forward: invalid argument`, "spec.securityContext.sysctls"],
    [
      `${INIT}error setting rlimits for ready process: error setting rlimit type 7: operation not permitted`,
      "spec.ulimits",
    ],
    [`${RUNC}container init was OOM-killed (memory limit too low?)`, "spec.resources.limits.memory"],
  ])("128 InvalidSpec: %s", (details, field) => {
    const failure = ofCreate(details);
    expect(failure).toMatchObject({ ...FINAL, exitCode: 128, reason: "InvalidSpec" });
    expect(failure.message).toContain(field);
  });

  it.each([
    // The runtime's own binary, not the command. Docker answers 127.
    [
      `${SHIM}unable to retrieve OCI runtime error (open /run/log.json: no such file or directory): exec: "runc": executable file not found in $PATH`,
    ],
    [
      `${SHIM}unable to retrieve OCI runtime error (open /run/log.json: no such file or directory): fork/exec /usr/bin/runc: permission denied`,
    ],
    [`failed to start shim: start failed: failed to create TTRPC connection: no such file or directory`],
    [`runtime "io.containerd.nope.v1" binary not installed "containerd-shim-nope-v1": file does not exist`],
    [`failed to create shim task: failed to mount rootfs component: no such file or directory`],
    [`${RUNC}can't get final child's PID from pipe: EOF`],
    [
      `${RUNC}error during container init: unable to apply apparmor profile: open /proc/self/attr/exec: no such file or directory`,
    ],
    [`${RUNC}unable to apply cgroup configuration: mkdir /sys/fs/cgroup/berth: permission denied`],
    [`${RUNC}unable to apply cgroup configuration: mkdir /sys/fs/cgroup/berth: no such file or directory`],
    // An agent whose root is no mount point; no volume has to do with it.
    [`${INIT}error preparing rootfs: mount /, flags: 0x84000: invalid argument`],
    // What a client that died inside Create left.
    [`mkdir /run/containerd/io.containerd.runtime.v2.task/berth/x: file exists`],
    [`something new`],
  ])("128 RuntimeError, tried again: %s", (details) => {
    expect(ofCreate(details)).toMatchObject({ ...RETRIED, reason: "RuntimeError" });
  });

  it("128 NetworkSetupFailed, tried again, when the namespace is gone", () => {
    expect(
      ofCreate(`${SHIM}runc create failed: invalid netns path: stat /run/netns/x: no such file or directory`),
    ).toMatchObject({
      ...RETRIED,
      reason: "NetworkSetupFailed",
    });
  });

  it.each([
    ["gofer: no such file or directory", 127, "CommandNotFound"],
    ["gofer: permission denied: no such file or directory", 126, "CommandNotExecutable"],
    ["gofer: is a directory, not a directory", 126, "CommandNotExecutable"],
    ["gofer: not a directory, no such file or directory", 127, "MountMismatch"],
  ])("falls back to Docker's texts in Docker's order for words it does not know: %s", (words, exitCode, reason) => {
    expect(ofCreate(SHIM + words)).toMatchObject({ exitCode, reason });
  });
});

describe("the step decides", () => {
  const denied = Object.assign(new Error("EACCES: permission denied, mkdir '/var/log/berth'"), { code: "EACCES" });

  it.each<[StartStep, unknown, string]>([
    ["storage", denied, "VolumeSetupFailed"],
    ["storage", answered("snapshot x does not exist: not found", status.NOT_FOUND), "RuntimeError"],
    ["network", denied, "NetworkSetupFailed"],
    ["spec", denied, "RuntimeError"],
    // The agent's own trouble, not the container's command.
    ["create", denied, "RuntimeError"],
    ["start", "a string", "RuntimeError"],
    ["pull", new ImagePullError("NotFound", 'image "x": not found'), "ErrImagePull"],
    ["pull", answered("no unpack platforms defined", status.INVALID_ARGUMENT), "ErrImagePull"],
    ["pull", new ImageNeverPullError("x"), "ErrImageNeverPull"],
  ])("%s: %s", (step, error, reason) => {
    expect(classifyStartError(error, step)).toMatchObject({ ...RETRIED, reason });
  });

  it("but an invalid image name is final, though Pending", () => {
    const failure = classifyStartError(new ImagePullError("InvalidName", 'image "X:": no tag'), "pull");
    expect(failure).toMatchObject({ exitCode: 128, reason: "InvalidImageName", state: "Pending", final: true });
  });

  it.each<StartStep>(["pull", "storage", "network", "spec", "create", "start"])(
    "at %s a SpecError is InvalidSpec",
    (step) => {
      const failure = classifyStartError(new SpecError("spec.user", "unable to find user foo"), step);
      const message = "spec.user: unable to find user foo";
      expect(failure).toEqual({ ...FINAL, exitCode: 128, reason: "InvalidSpec", message, error: message });
    },
  );

  it("and containerd's being away is no verdict on the container", () => {
    const failure = classifyStartError(
      answered("connect ENOENT: no such file or directory", status.UNAVAILABLE),
      "create",
    );
    expect(failure).toMatchObject({ reason: "RuntimeUnavailable", state: "Pending", final: false });
    expect(failure).not.toHaveProperty("exitCode");
  });

  it("and a StartError carries its own verdict", () => {
    const failure = startFailure("ErrImageNeverPull", "not here");
    expect(classifyStartError(new StartError(failure), "create")).toBe(failure);
  });
});
