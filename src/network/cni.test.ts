import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { Cni } from "./cni.ts";
import type { CniAttachment } from "./cni.ts";
import { CniError } from "./errors.ts";

// Each fake plugin notes how it was called in $directory/calls and then does as its body says.
describe("Cni", () => {
  let directory = "";
  let cni: Cni;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "cni-"));
    cni = new Cni(["/nonexistent", directory]);
  });
  afterEach(() => rm(directory, { recursive: true }));

  const plugin = (type: string, body: string) =>
    writeFile(
      join(directory, type),
      `#!/bin/sh\nprintf '%s %s %s %s %s ' "$CNI_COMMAND" ${type} "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" >> ${directory}/calls
cat >> ${directory}/calls; echo >> ${directory}/calls\n${body}\n`,
      { mode: 0o755 },
    );
  const calls = async () =>
    (await readFile(join(directory, "calls"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => ({
        words: line.slice(0, line.indexOf(" {")),
        config: JSON.parse(line.slice(line.indexOf("{"))) as Record<string, unknown>,
      }));
  const attachment = (...types: string[]): CniAttachment => ({
    containerId: "c1",
    netns: "/run/netns/c1",
    ifName: "eth0",
    list: { cniVersion: "1.0.0", name: "net", plugins: types.map((type) => ({ type })) },
    runtimeConfig: {},
  });

  it("chains ADD: each plugin gets the result of the one before, and the last one's counts", async () => {
    await plugin("one", `echo '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"}]}'`);
    await plugin("two", `echo '{"cniVersion":"1.0.0","ips":[]}'`);
    await expect(cni.add(attachment("one", "two"))).resolves.toEqual({ cniVersion: "1.0.0", ips: [] });
    const [first, second] = await calls();
    expect(first).toEqual({
      words: "ADD one c1 /run/netns/c1 eth0",
      config: { type: "one", cniVersion: "1.0.0", name: "net" },
    });
    expect(second?.config["prevResult"]).toEqual({ cniVersion: "1.0.0", ips: [{ address: "10.0.0.2/24" }] });
  });

  it("stops ADD at the plugin that fails, with its code and words", async () => {
    await plugin("one", `echo '{"code":7,"msg":"bad config","details":"field x"}'; exit 1`);
    await plugin("two", "");
    const error: unknown = await cni.add(attachment("one", "two")).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CniError);
    expect(error).toMatchObject({ plugin: "one", code: 7, msg: "bad config", details: "field x" });
    expect((await calls()).length).toBe(1);
  });

  it("tells a plugin's last words when it dies without an answer", async () => {
    await plugin("one", "echo panic >&2; kill -9 $$");
    await expect(cni.add(attachment("one"))).rejects.toThrow(/CNI plugin one: .*SIGKILL: panic/);
    await plugin("one", "echo not json");
    await expect(cni.add(attachment("one"))).rejects.toThrow("CNI plugin one: answered no JSON");
  });

  it("runs DEL in reverse through every plugin, also past failing ones", async () => {
    await plugin("one", "");
    await plugin("two", `echo '{"code":100,"msg":"no"}'; exit 1`);
    await plugin("three", "");
    await expect(cni.del(attachment("one", "two", "three"), { cniVersion: "1.0.0" })).rejects.toMatchObject({
      code: 100,
    });
    const seen = await calls();
    expect(seen.map(({ words }) => words.split(" ")[1])).toEqual(["three", "two", "one"]);
    expect(seen[0]?.config["prevResult"]).toEqual({ cniVersion: "1.0.0" });
  });

  it("names the directories searched for a missing plugin", async () => {
    await expect(cni.add(attachment("absent"))).rejects.toThrow(
      `CNI plugin absent is in none of /nonexistent, ${directory}`,
    );
  });

  it("asks a plugin for its versions", async () => {
    await plugin("one", `echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'`);
    await expect(cni.versions("one")).resolves.toEqual(["0.4.0", "1.0.0"]);
  });
});
