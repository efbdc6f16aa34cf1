/**
 * Time as a parameter, so that tests turn it by hand. On Cloudflare `now` stands still during computation
 * (it moves with I/O only), so a difference of two readings is a lower bound there, not a measure of CPU time.
 */
export interface Clock {
  /** Milliseconds; only differences have a meaning. */
  now(): number;
  /** Calls `wake` once after `ms`, unless the returned function is called before. */
  after(ms: number, wake: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, wake) {
    const timer = setTimeout(wake, ms);
    return () => clearTimeout(timer);
  },
};
