/** Time as a parameter: what reads the wall clock or waits takes one of these, so that tests can steer it. */
export type Clock = {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Runs `callback` once after `ms`; the answer cancels it. */
  after: (ms: number, callback: () => void) => () => void;
};

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => {
      clearTimeout(timer);
    };
  },
};
