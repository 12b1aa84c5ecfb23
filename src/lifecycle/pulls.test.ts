import { describe, expect, it, jest } from "@jest/globals";
import { pino } from "pino";
import { ImagePullError, type PulledImage, type PullOptions } from "../containerd/index.ts";
import type { Observer } from "./observer.ts";
import type { Announce } from "./parts.ts";
import { Pulls, type PullRequest } from "./pulls.ts";

const IMAGE: PulledImage = {
  name: "example.com/hello:1",
  digest: "sha256:0",
  chainID: "sha256:1",
  config: {},
};

/** Pulls that end when the test says so. */
function fakePulls() {
  const pulls: (PullOptions & { settle: PromiseWithResolvers<PulledImage> })[] = [];
  const settled = jest.fn<(key: string) => void>();
  const announce = jest.fn<Announce>();
  const observer = { pulled: jest.fn<Observer["pulled"]>(), fetched: jest.fn<Observer["fetched"]>() };
  const source = {
    pull: (options: PullOptions): Promise<PulledImage> => {
      const settle = Promise.withResolvers<PulledImage>();
      options.signal?.addEventListener("abort", () => {
        settle.reject(new Error("aborted"));
      });
      pulls.push({ ...options, settle });
      return settle.promise;
    },
  };
  const made = new Pulls({
    source,
    hostsDir: undefined,
    onSettled: settled,
    announce,
    observer,
    logger: pino({ level: "silent" }),
  });
  return { made, pulls, settled, announce, observer };
}

const request = (name: string, more: Partial<PullRequest> = {}): PullRequest => ({
  key: `default/${name}`,
  token: `${name}-1`,
  object: { namespace: "default", name, uid: name },
  ref: IMAGE.name,
  ...more,
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("Pulls", () => {
  it("shares one pull among all that want the image with the same credentials", async () => {
    const { made, pulls, settled } = fakePulls();
    made.begin(request("a"));
    made.begin(request("b"));
    made.begin(request("c", { credentials: { username: "u", password: "p" } }));
    expect(pulls).toHaveLength(2);
    pulls[0]?.settle.resolve(IMAGE);
    await turn();
    expect(settled.mock.calls).toEqual([["default/a"], ["default/b"]]);
    expect(made.take("default/a", "a-1")).toMatchObject({ image: IMAGE });
    expect(made.take("default/a", "a-1")).toBeUndefined();
    expect(made.take("default/b", "b-1")).toMatchObject({ image: IMAGE });
    expect(made.underWay("default/c", "c-1")).toBe(true);
  });

  it("goes on while anybody waits, and is ended when nobody does", () => {
    const { made, pulls } = fakePulls();
    made.begin(request("a"));
    made.begin(request("b"));
    made.forget("default/a");
    expect(pulls[0]?.signal?.aborted).toBe(false);
    made.forget("default/b");
    expect(pulls[0]?.signal?.aborted).toBe(true);
  });

  it("answers the last question of a key that asked twice", async () => {
    const { made, pulls, settled } = fakePulls();
    made.begin(request("a"));
    made.begin(request("a", { token: "a-2" }));
    expect(pulls).toHaveLength(1);
    pulls[0]?.settle.resolve(IMAGE);
    await turn();
    expect(settled.mock.calls).toEqual([["default/a"]]);
    expect(made.take("default/a", "a-2")).toMatchObject({ image: IMAGE });
  });

  it("begins anew what is wanted again after it was given up, and does not join what ends", async () => {
    const { made, pulls, settled } = fakePulls();
    made.begin(request("a"));
    made.forget("default/a");
    made.begin(request("a"));
    expect(pulls).toHaveLength(2);
    await turn();
    expect(settled).not.toHaveBeenCalled();
    pulls[1]?.settle.resolve(IMAGE);
    await turn();
    expect(made.take("default/a", "a-1")).toMatchObject({ image: IMAGE });
  });

  it("does not give an answer to another question", async () => {
    const { made, pulls } = fakePulls();
    made.begin(request("a"));
    pulls[0]?.settle.reject(new Error("no such image"));
    await turn();
    expect(made.take("default/a", "a-2")).toBeUndefined();
  });

  it("tells an error to all who wait", async () => {
    const { made, pulls } = fakePulls();
    const error = new Error("refused");
    made.begin(request("a"));
    made.begin(request("b"));
    pulls[0]?.settle.reject(error);
    await turn();
    expect([made.take("default/a", "a-1"), made.take("default/b", "b-1")]).toEqual([{ error }, { error }]);
  });

  it("gives a pull up when its only key wants another image", async () => {
    const { made, pulls, settled } = fakePulls();
    made.begin(request("a"));
    made.begin(request("a", { token: "a-2", ref: "example.com/hello:2" }));
    expect(pulls.map(({ signal }) => signal?.aborted)).toEqual([true, false]);
    await turn();
    expect(settled).not.toHaveBeenCalled();
    expect(made.underWay("default/a", "a-2")).toBe(true);
  });

  it("begins anew for who asks after a pull is over", async () => {
    const { made, pulls } = fakePulls();
    made.begin(request("a"));
    pulls[0]?.settle.resolve(IMAGE);
    await turn();
    made.begin(request("b"));
    expect(pulls).toHaveLength(2);
  });

  it("ends all pulls when it is closed, telling nobody", async () => {
    const { made, pulls, settled } = fakePulls();
    made.begin(request("a"));
    made.begin(request("b", { ref: "example.com/hello:2" }));
    made.close();
    await turn();
    expect(pulls.map(({ signal }) => signal?.aborted)).toEqual([true, true]);
    expect(settled).not.toHaveBeenCalled();
  });

  it("begins none after it was closed", () => {
    const { made, pulls } = fakePulls();
    made.close();
    made.begin(request("a"));
    expect(pulls).toEqual([]);
  });

  it("tells how each pull ended, and of each byte that was fetched once", async () => {
    const { made, pulls, observer } = fakePulls();
    for (const name of ["a", "b", "c", "d"]) made.begin(request(name, { ref: `example.com/${name}:1` }));
    for (const fetched of [0, 10, 10, 25])
      pulls[0]?.onProgress?.({ bytes: 100, fetched, total: 100, done: 0, layers: 1 });
    pulls[0]?.settle.resolve(IMAGE);
    await turn();
    pulls[1]?.settle.reject(new ImagePullError("NotFound", "no such image"));
    await turn();
    pulls[2]?.settle.reject(new Error("else"));
    await turn();
    made.forget("default/d");
    await turn();
    expect(observer.pulled.mock.calls.map(([outcome]) => outcome)).toEqual([
      "success",
      "NotFound",
      "error",
      "cancelled",
    ]);
    expect(observer.fetched.mock.calls).toEqual([[10], [15]]);
  });

  it("tells all who wait of the progress, but not more often than every 10 s", () => {
    jest.useFakeTimers();
    try {
      const { made, pulls, announce } = fakePulls();
      made.begin(request("a"));
      made.begin(request("b"));
      const progress = (bytes: number): void =>
        pulls[0]?.onProgress?.({ bytes, fetched: bytes, total: 4 * 2 ** 20, done: 0, layers: 1 });
      progress(0);
      jest.advanceTimersByTime(10_000);
      progress(2 ** 20);
      progress(2 * 2 ** 20);
      const line = 'Pulling image "example.com/hello:1": 1.0 of 4.0 MiB';
      expect(announce.mock.calls.map(([{ name }, , , message, word]) => [name, message, word])).toEqual([
        ["a", line, "pull"],
        ["b", line, "pull"],
      ]);
    } finally {
      jest.useRealTimers();
    }
  });
});
