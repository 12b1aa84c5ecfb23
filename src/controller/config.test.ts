import { describe, expect, it } from "@jest/globals";
import { Command } from "commander";
import { addControllerFlags, type ControllerConfig, readControllerConfig } from "./config.ts";

function read(args: string[], env: NodeJS.ProcessEnv = {}): ControllerConfig {
  const command = addControllerFlags(new Command("controller"))
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  command.parse(args, { from: "user" });
  return readControllerConfig(command, env);
}

describe("the controller's flags", () => {
  it("have client-go's times of an election, and what the pod knows of itself", () => {
    expect(read([], { POD_NAMESPACE: "berth-system", POD_NAME: "berth-controller-x", KUBECONFIG: "/k" })).toEqual({
      kubeconfig: "/k",
      namespace: "berth-system",
      podName: "berth-controller-x",
      patience: { noAgentMs: 30_000, graceMs: 90_000 },
      election: { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 },
      metricsAddress: ":9470",
      logLevel: "info",
    });
    expect(read(["--namespace=other"], { POD_NAMESPACE: "berth-system" }).namespace).toBe("other");
    expect(read(["--grace-period", "1m30s", "--agentless-after=500ms"]).patience).toEqual({
      noAgentMs: 500,
      graceMs: 90_000,
    });
  });

  it.each([
    [["--grace-period", "soon"], "must be a duration"],
    [["--grace-period", "0s"], "must be a duration"],
    [["--renew-deadline", "15s"], "renew-deadline: must be less than lease-duration"],
    [["--retry-period", "10s"], "retry-period: must be less than renew-deadline"],
    [["--log-level", "loud"], "loud"],
  ])("refuse %j", (args, message) => {
    expect(() => read(args)).toThrow(message);
  });
});
