import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { executionConfig, loadNetwork, parseNetwork } from "./config.ts";

describe("parseNetwork", () => {
  it("takes a single plugin's configuration for a list of one", () => {
    const list = parseNetwork('{"cniVersion":"0.4.0","name":"lan","type":"macvlan","master":"eth0"}');
    expect(list.plugins).toEqual([expect.objectContaining({ type: "macvlan", master: "eth0" })]);
  });

  it.each([
    ["[]", "not a JSON object"],
    ['{"cniVersion":"1.0.0","plugins":[]}', "name is missing"],
    ['{"name":"a","plugins":[]}', "cniVersion is missing"],
    ['{"cniVersion":"0.2.0","name":"a","plugins":[]}', "too old"],
    ['{"cniVersion":"1.0.0","name":"a","plugins":[{}]}', "plugins"],
    ['{"cniVersion":"1.0.0","name":"a"}', "plugins"],
  ])("refuses %s", (text, message) => {
    expect(() => parseNetwork(text)).toThrow(message);
  });
});

describe("executionConfig", () => {
  const list = { cniVersion: "1.0.0", name: "net" };
  const runtimeConfig = { portMappings: [{ hostPort: 80, containerPort: 8080, protocol: "tcp" as const }] };

  it("gives a plugin the arguments it declares, and not its declaration", () => {
    const plugin = { type: "portmap", snat: true, capabilities: { portMappings: true, ips: true } };
    expect(executionConfig(list, plugin, runtimeConfig, { ips: [] })).toEqual({
      cniVersion: "1.0.0",
      name: "net",
      type: "portmap",
      snat: true,
      runtimeConfig,
      prevResult: { ips: [] },
    });
  });

  it("gives nothing to a plugin that declares nothing or says no", () => {
    expect(executionConfig(list, { type: "bridge" }, runtimeConfig, undefined)).not.toHaveProperty("runtimeConfig");
    const no = { type: "portmap", capabilities: { portMappings: false } };
    expect(executionConfig(list, no, runtimeConfig, undefined)).not.toHaveProperty("runtimeConfig");
  });
});

describe("loadNetwork", () => {
  let directory = "";
  beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), "conf-"))));
  afterEach(() => rm(directory, { recursive: true }));

  it("takes the first file with the name, and goes past broken and foreign ones", async () => {
    const write = (file: string, type: string) =>
      writeFile(join(directory, file), JSON.stringify({ cniVersion: "1.0.0", name: "lan", plugins: [{ type }] }));
    await write("20-b.conflist", "second");
    await write("10-a.conflist", "first");
    await write("00.txt", "not-a-configuration");
    await writeFile(join(directory, "05.conf"), "{");
    await expect(loadNetwork(directory, "lan")).resolves.toMatchObject({ plugins: [{ type: "first" }] });
  });

  it("says where it looked and what it could not read", async () => {
    await writeFile(join(directory, "05.conf"), "{");
    await expect(loadNetwork(directory, "lan")).rejects.toThrow(new RegExp(`network lan: .*${directory}.*05.conf: `));
    await expect(loadNetwork("/nonexistent", "lan")).rejects.toThrow("in /nonexistent");
  });
});
