/** What Berth has set itself, and whether it is so. Figures are no assertions: nothing fails by them. */
import { find, type Figure, type Results } from "./results.ts";
import { median, quantile } from "./statistics.ts";

export interface Target {
  readonly what: string;
  readonly limit: number;
  readonly atLeast: boolean;
  readonly unit: string;
  /** Absent where what it takes was not measured. */
  readonly measured?: number;
  readonly met?: boolean;
}

type Wish = Pick<Target, "what" | "limit"> & {
  readonly atLeast?: true;
  readonly unit?: string;
  readonly of: (results: Pick<Results, "figures" | "agent">) => number | undefined;
};

const WISHES: readonly Wish[] = [
  {
    what: "one at a time, Berth / the floor",
    limit: 1.25,
    of: ({ figures }) => ratio(find(figures, "one", "berth")?.median, find(figures, "one", "floor")?.median),
  },
  {
    what: "one at a time, Berth / Docker's create and start",
    limit: 0.75,
    of: ({ figures }) => ratio(find(figures, "one", "berth")?.median, find(figures, "one", "docker")?.median),
  },
  {
    what: "30 at once, Containers a second, Berth / Docker",
    limit: 1.25,
    atLeast: true,
    of: ({ figures }) =>
      ratio(find(figures, "burst30", "berth")?.perSecond, find(figures, "burst30", "docker")?.perSecond),
  },
  {
    what: "one at a time, a Pod on the kubelet / Berth",
    limit: 8,
    atLeast: true,
    of: ({ figures }) => ratio(find(figures, "one", "kubelet")?.median, find(figures, "one", "berth")?.median),
  },
  {
    what: "100 at once, p99 / median of Berth's own",
    limit: 2.5,
    of: ({ figures }) => spread(figures),
  },
  {
    what: "restart after exit, beyond the backoff, Berth / the floor",
    limit: 1.25,
    of: ({ figures }) => ratio(find(figures, "restart", "berth")?.median, find(figures, "restart", "floor")?.median),
  },
  { what: "status writes a start, nothing to pull", limit: 1, of: ({ agent }) => agent.statusWrites?.perStart },
  {
    what: "CPU of an agent with 1,000 stopped Containers",
    limit: 0.5,
    unit: "% of a core",
    of: ({ agent: { idle } }) => (idle?.containers === 1000 ? idle.cpuPercent : undefined),
  },
  { what: "memory of an agent with 300 that run", limit: 120, unit: "MB", of: ({ agent }) => agent.running?.rssMB },
  {
    what: "requests of an idle agent to the API server",
    limit: 2,
    unit: "a minute",
    of: ({ agent: { idle } }) => (idle?.containers === 1000 ? idle.requestsPerMinute : undefined),
  },
];

/** All targets, in the order in which they were set. */
export function targetsOf(results: Pick<Results, "figures" | "agent">): Target[] {
  return WISHES.map(({ what, limit, atLeast = false, unit = "", of }) => {
    const measured = of(results);
    const wish = { what, limit, atLeast, unit };
    if (measured === undefined) return wish;
    return { ...wish, measured, met: atLeast ? measured >= limit : measured <= limit };
  });
}

function ratio(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one / other;
}

/** Of each turn its own: those of several turns put together would be told by how the turns differ. */
function spread(figures: readonly Figure[]): number | undefined {
  const turns = figures.find(({ scenario, peer }) => scenario === "burst100" && peer === "berth")?.turns;
  return turns === undefined ? undefined : median(turns.map(({ ms }) => quantile(ms, 0.99) / median(ms)));
}
