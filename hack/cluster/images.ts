// The test images, built here from busybox. The same input gives the same digests.
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { arch, tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { run } from "../../src/node/index.ts";
import type { Tools } from "./tools.ts";

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar+gzip";
const CREATED = "2024-01-01T00:00:00Z";
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export type Blob = { mediaType: string; digest: string; bytes: Buffer };
/** One image under its names; what a tag points to comes last in `manifests`. */
export type Image = { repository: string; tags: string[]; blobs: Blob[]; manifests: Blob[] };
type Layer = Blob & { diffId: string };
/** Field names of the OCI image configuration. */
type ImageConfig = {
  Entrypoint?: string[];
  Cmd?: string[];
  Env?: string[];
  User?: string;
  WorkingDir?: string;
  StopSignal?: string;
  Volumes?: Record<string, object>;
  ExposedPorts?: Record<string, object>;
  /** Docker's addition; times in nanoseconds. */
  Healthcheck?: { Test: string[]; Interval: number; Timeout: number; Retries: number };
};

/** This machine's architecture, and one that it can't run. */
const ARCHITECTURE = arch() === "arm64" ? "arm64" : "amd64";
const FOREIGN = "s390x";

const HEALTHCHECK = {
  Test: ["CMD-SHELL", "echo >> /switch/checks; cat /switch/healthy"],
  Interval: 500e6,
  Timeout: 10e9,
  Retries: 2,
};

/**
 * The images:
 * - `library/busybox:1.36`, `:latest`: a shell, `httpd` with a page at `/www`, users `root`, `nobody`, `app` (1000, also
 *   in group `extra`).
 * - `berth/test:files`: busybox with what can't be started: `/noexec`, `/directory`, `/no-interpreter`, `/file`.
 * - `berth/test:config`: Entrypoint, Cmd, Env, User, WorkingDir, StopSignal, Volumes and ExposedPorts are set.
 * - `berth/test:entrypoint`: Entrypoint and Cmd only (`/bin/echo` `from` `cmd`).
 * - `berth/test:empty`: no Entrypoint, no Cmd.
 * - `berth/test:healthcheck`: healthy while there is a file `/switch/healthy`; checked each half second, two failures.
 * - `berth/test:user`: its User is in no file.
 * - `berth/test:multi`: an index of this machine's platform and another; `berth/test:foreign`: only of the other.
 */
export async function buildImages(tools: Pick<Tools, "busybox">): Promise<Image[]> {
  const base = await layer((root) => {
    baseFiles(root, tools.busybox);
  });
  const files = await layer(odditiesIn);
  const shell = { Env: [PATH], Cmd: ["sh"] };
  const configured = {
    Entrypoint: ["/bin/sh", "-c"],
    Cmd: ["echo from the image; exec sleep 3600"],
    Env: [PATH, "GREETING=hello", "ORIGIN=image"],
    User: "app",
    WorkingDir: "/home/app",
    StopSignal: "SIGUSR1",
    Volumes: { "/data": {} },
    ExposedPorts: { "8080/tcp": {}, "5353/udp": {} },
  };
  return [
    image("library/busybox", ["1.36", "latest"], single([base], shell)),
    image("berth/test", ["files"], single([base, files], shell)),
    image("berth/test", ["config"], single([base, files], configured)),
    image(
      "berth/test",
      ["entrypoint"],
      single([base], { Env: [PATH], Entrypoint: ["/bin/echo"], Cmd: ["from", "cmd"] }),
    ),
    image("berth/test", ["healthcheck"], single([base], { ...shell, Healthcheck: HEALTHCHECK })),
    image("berth/test", ["empty"], single([base], { Env: [PATH] })),
    image("berth/test", ["user"], single([base], { ...shell, User: "ghost" })),
    image("berth/test", ["multi"], index([base], shell, [FOREIGN, ARCHITECTURE])),
    image("berth/test", ["foreign"], index([base], shell, [FOREIGN])),
  ];
}

/** An image of busybox and a file `/payload` of so many bytes, which can't be compressed. The tag decides what is in it. */
export async function sizedImage(tools: Pick<Tools, "busybox">, tag: string, bytes: number): Promise<Image> {
  const base = await layer((root) => {
    baseFiles(root, tools.busybox);
  });
  const payload = await layer((root) => {
    const noise = createHash("shake256", { outputLength: bytes }).update(tag);
    writeFileSync(join(root, "payload"), noise.digest());
  });
  return image("berth/sized", [tag], single([base, payload], { Env: [PATH], Cmd: ["sh"] }));
}

/** What holds a Pod's namespaces, under the names that this and other parts of a node look for. */
export async function pauseImage(tools: Pick<Tools, "busybox">): Promise<Image> {
  const base = await layer((root) => {
    baseFiles(root, tools.busybox);
  });
  return image("pause", ["berth"], single([base], { Env: [PATH], Entrypoint: ["/bin/sleep", "infinity"] }));
}

/** Writes an image as an OCI archive, as `ctr images import` reads it, named `<prefix>/<repository>:<tag>`. */
export async function writeArchive(image: Image, prefix: string, file: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "berth-image-"));
  try {
    mkdirSync(join(dir, "blobs/sha256"), { recursive: true });
    for (const { digest, bytes } of [...image.blobs, ...image.manifests]) {
      writeFileSync(join(dir, "blobs", digest.replace(":", "/")), bytes);
    }
    const top = image.manifests.at(-1);
    const manifests = image.tags.map((tag) => ({
      ...(top === undefined ? {} : descriptor(top)),
      annotations: { "io.containerd.image.name": `${prefix}/${image.repository}:${tag}` },
    }));
    writeFileSync(join(dir, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    writeFileSync(join(dir, "index.json"), JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }));
    await run("tar", ["-C", dir, "-cf", file, "."]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function baseFiles(root: string, busybox: string): void {
  for (const dir of ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/www"]) {
    mkdirSync(join(root, dir), { recursive: true, mode: 0o755 });
  }
  chmodSync(join(root, "tmp"), 0o1777);
  copyFileSync(busybox, join(root, "bin/busybox"));
  for (const applet of APPLETS) symlinkSync("busybox", join(root, "bin", applet));
  const passwd = [
    "root:x:0:0:root:/root:/bin/sh",
    "app:x:1000:1000::/home/app:/bin/sh",
    "nobody:x:65534:65534::/:/bin/false",
  ];
  const group = ["root:x:0:", "app:x:1000:", "extra:x:2000:app", "nogroup:x:65534:"];
  writeFileSync(join(root, "etc/passwd"), `${passwd.join("\n")}\n`);
  writeFileSync(join(root, "etc/group"), `${group.join("\n")}\n`);
  mkdirSync(join(root, "home/app"));
  chownSync(join(root, "home/app"), 1000, 1000);
  mkdirSync(join(root, "www"));
  writeFileSync(join(root, "www/index.html"), "Hello from Berth\n");
}

function odditiesIn(root: string): void {
  writeFileSync(join(root, "noexec"), "#!/bin/sh\n", { mode: 0o644 });
  writeFileSync(join(root, "no-interpreter"), "#!/no/such/interpreter\n", { mode: 0o755 });
  writeFileSync(join(root, "file"), "a file\n");
  mkdirSync(join(root, "directory"));
  mkdirSync(join(root, "data"));
  writeFileSync(join(root, "data/seed"), "from the image\n");
  for (const path of ["data", "data/seed"]) chownSync(join(root, path), 1000, 1000);
}

/** Of busybox's applets, those that tests and examples use. */
const APPLETS =
  "[ arp awk basename cat chmod chown cp cut date dd df dirname du echo env expr false find free getopt grep head hostname httpd id ifconfig ip kill killall ln ls md5sum mkdir mkfifo mknod mount mv nc netstat nice nproc nslookup od pgrep pidof ping printf ps pwd readlink renice rm rmdir route sed seq sh sleep sort stat stty su sync tail tar tee test timeout top touch tr true tty umount uname uniq unshare usleep vi wc wget which whoami xargs yes".split(
    " ",
  );

async function layer(fill: (root: string) => void): Promise<Layer> {
  const root = mkdtempSync(join(tmpdir(), "berth-layer-"));
  try {
    chmodSync(root, 0o755);
    fill(root);
    const file = `${root}.tar`;
    await run("tar", ["-C", root, "--sort=name", "--mtime=@0", "--numeric-owner", "--format=gnu", "-cf", file, "."]);
    const tar = readFileSync(file);
    return { ...blob(LAYER, gzipSync(tar)), diffId: sha256(tar) };
  } finally {
    rmSync(root, { recursive: true, force: true });
    rmSync(`${root}.tar`, { force: true });
  }
}

function image(repository: string, tags: string[], content: Pick<Image, "blobs" | "manifests">): Image {
  return { repository, tags, ...content };
}

function single(layers: Layer[], config: ImageConfig, architecture = ARCHITECTURE): Pick<Image, "blobs" | "manifests"> {
  const configBlob = json(CONFIG, {
    created: CREATED,
    architecture,
    os: "linux",
    config,
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created: CREATED, created_by: "berth" })),
  });
  const manifest = json(MANIFEST, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: descriptor(configBlob),
    layers: layers.map(descriptor),
  });
  return { blobs: [...layers, configBlob], manifests: [manifest] };
}

function index(layers: Layer[], config: ImageConfig, architectures: string[]): Pick<Image, "blobs" | "manifests"> {
  const parts = architectures.map((architecture) => ({ architecture, ...single(layers, config, architecture) }));
  const manifests = parts.flatMap(({ architecture, manifests }) =>
    manifests.map((manifest) => ({ ...descriptor(manifest), platform: { architecture, os: "linux" } })),
  );
  return {
    blobs: parts.flatMap(({ blobs }) => blobs),
    manifests: [
      ...parts.flatMap(({ manifests }) => manifests),
      json(INDEX, { schemaVersion: 2, mediaType: INDEX, manifests }),
    ],
  };
}

function descriptor({ mediaType, digest, bytes }: Blob): { mediaType: string; digest: string; size: number } {
  return { mediaType, digest, size: bytes.length };
}

function json(mediaType: string, value: object): Blob {
  return blob(mediaType, Buffer.from(JSON.stringify(value)));
}

function blob(mediaType: string, bytes: Buffer): Blob {
  return { mediaType, digest: sha256(bytes), bytes };
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
