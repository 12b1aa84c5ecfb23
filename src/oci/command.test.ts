import { describe, expect, it } from "@jest/globals";
import { commandLine, expandEnv } from "./command.ts";

describe("commandLine", () => {
  const image = { Entrypoint: ["/entry"], Cmd: ["default"] };

  // The table of core/v1's documentation on command and args.
  it.each([
    [{}, ["/entry", "default"]],
    [{ command: ["/run"] }, ["/run"]],
    [{ args: ["x"] }, ["/entry", "x"]],
    [{ command: ["/run"], args: ["x"] }, ["/run", "x"]],
    [{ command: [], args: [] }, ["/entry", "default"]],
  ])("%j", (spec, line) => {
    expect(commandLine(spec, image)).toEqual(line);
  });

  it("takes args as the command of an image that has no Entrypoint, and keeps empty words", () => {
    expect(commandLine({ args: ["echo", ""] }, { Cmd: ["sh"] })).toEqual(["echo", ""]);
  });

  it("refuses to start nothing", () => {
    expect(() => commandLine({}, {})).toThrow(/^spec\.command: no command specified/);
    expect(() => commandLine({ command: [] }, { Entrypoint: [], Cmd: [] })).toThrow("no command specified");
  });

  it("expands variables in the spec's words only", () => {
    const variables = new Map([["A", "1"]]);
    expect(commandLine({ args: ["$(A)"] }, { Entrypoint: ["$(A)"] }, variables)).toEqual(["$(A)", "1"]);
    expect(commandLine({ command: ["$(A)$(A)"] }, {}, variables)).toEqual(["11"]);
  });
});

describe("expandEnv", () => {
  const variables = new Map([
    ["A", "1"],
    ["B", "$(A)"],
    ["E", ""],
  ]);

  it.each([
    ["$(A)", "1"],
    ["x$(A)y$(E)z", "x1yz"],
    // A value is not expanded again.
    ["$(B)", "$(A)"],
    ["$$(A)", "$(A)"],
    ["$$$(A)", "$1"],
    ["$$$$(A)", "$$(A)"],
    ["$(MISSING)", "$(MISSING)"],
    ["$()", "$()"],
    ["$(A", "$(A"],
    ["$A ${A} $", "$A ${A} $"],
    ["$$", "$"],
    ["$(A$(A))", "$(A$(A))"],
  ])("%s → %s", (text, expanded) => {
    expect(expandEnv(text, variables)).toBe(expanded);
  });
});
