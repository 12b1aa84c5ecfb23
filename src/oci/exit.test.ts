import { describe, expect, it } from "@jest/globals";
import { endReason, signalName, signalNumber, stopSignal } from "./exit.ts";

describe("endReason", () => {
  it.each([
    [0, false, "Completed"],
    [3, false, "Error"],
    [137, false, "Error"],
    [137, true, "OOMKilled"],
    // A child was killed, its parent ended well.
    [0, true, "OOMKilled"],
  ] as const)("exit status %d, oom %s: %s", (exitStatus, oomKilled, reason) => {
    expect(endReason(exitStatus, oomKilled)).toEqual({ reason, exitCode: exitStatus });
  });
});

describe("signalNumber", () => {
  it.each([
    ["SIGTERM", 15],
    ["TERM", 15],
    ["sigquit", 3],
    ["15", 15],
    ["SIGRTMIN", 34],
    ["SIGRTMIN+3", 37],
    ["RTMIN+30", 64],
    ["SIGRTMAX-1", 63],
    ["SIGRTMAX", 64],
    ["64", 64],
  ])("%s is %d", (signal, number) => {
    expect(signalNumber(signal)).toBe(number);
  });

  it.each(["", "0", "65", "-9", "SIGNOPE", "SIG", "SIGRTMIN+31", "SIGRTMIN-1", "SIGRTMAX+1", "SIGRTMAX-31", "1.5"])(
    "%j is none",
    (signal) => {
      expect(signalNumber(signal)).toBeUndefined();
    },
  );

  it("is the inverse of signalName", () => {
    for (let number = 1; number <= 64; number++) expect(signalNumber(signalName(number))).toBe(number);
    expect(signalName(37)).toBe("SIGRTMIN+3");
  });
});

describe("stopSignal", () => {
  it("is the spec's, else the image's, else SIGTERM", () => {
    expect(stopSignal("SIGINT", "SIGQUIT")).toBe(2);
    expect(stopSignal(undefined, "SIGQUIT")).toBe(3);
    expect(stopSignal(undefined, undefined)).toBe(15);
  });

  it("takes an unreadable signal of the image for none, of the spec for an error", () => {
    expect(stopSignal(undefined, "SIGNOPE")).toBe(15);
    expect(() => stopSignal("SIGNOPE", undefined)).toThrow('spec.stopSignal: "SIGNOPE" is no signal');
  });
});
