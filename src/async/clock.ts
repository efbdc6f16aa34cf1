/**
 * Time as a parameter, so that tests can control it. On Cloudflare `now` advances only with I/O, so a difference of two
 * readings is a lower bound of the elapsed time there and does not measure CPU time.
 */
export interface Clock {
  /** Returns milliseconds; only differences are meaningful. */
  now(): number;
  /** Calls `wake` once after `ms`. The returned function cancels the call. */
  after(ms: number, wake: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, wake) {
    const timer = setTimeout(wake, ms);
    return () => clearTimeout(timer);
  },
};
