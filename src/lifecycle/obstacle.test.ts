import { describe, expect, it } from "@jest/globals";
import { status as grpc } from "@grpc/grpc-js";
import { ContainerdError } from "../containerd/index.ts";
import { giveBack } from "./obstacle.ts";

const fails = (error: Error) => () => Promise.reject(error);

describe("giveBack", () => {
  it("names all that is in the way, and does the rest", async () => {
    const done: string[] = [];
    const given = giveBack("removal", {
      "its network": fails(new Error("the switch is off")),
      "its volumes": () => Promise.resolve(done.push("volumes")),
      "its cgroup": fails(new Error("EBUSY")),
    });
    await expect(given).rejects.toMatchObject({
      purpose: "removal",
      message: "its network: the switch is off; its cgroup: EBUSY",
    });
    expect(done).toEqual(["volumes"]);
  });

  it("lets through that containerd is away: that is in nobody's way", async () => {
    const away = new ContainerdError("Snapshots.Remove", grpc.UNAVAILABLE, "no connection");
    await expect(giveBack("rest", { a: fails(new Error("b")), c: fails(away) })).rejects.toBe(away);
  });
});
