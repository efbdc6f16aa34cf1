/**
 * Finds a server's concurrency limit from the latency of its requests: Gradient2 of Netflix's concurrency-limits. While
 * latency is near its long-run average, the limit grows a little; once latency exceeds `tolerance` times the average, the
 * limit shrinks by their ratio.
 *
 * Latency is corrected for its noise, measured as the difference between consecutive windows. Noise persists, whereas
 * overload raises the latency in one step, so the correction hides overload for a few windows only.
 *
 * Two things differ from Netflix's algorithm. The minimum is lower, since a server with one GPU may be full with four
 * requests; and the room for a queue shrinks with the limit, since a constant one would keep the limit above that minimum.
 * Its weakness: under load that never ends, the long-run average rises to the present latency, and the limit drifts up. So
 * it slows down an overload; a fixed limit in addition (`Admission`) bounds it.
 */
export interface GradientLimitOptions {
  readonly initialLimit?: number;
  readonly minLimit?: number;
  readonly maxLimit?: number;
  /** Weight of the newest estimate in the limit; above 0, at most 1. */
  readonly smoothing?: number;
  /** Ratio of latency to the long-run average above which the limit shrinks; at least 1. */
  readonly tolerance?: number;
  /** Number of windows in the long-run average. */
  readonly longWindow?: number;
  /** Largest room for waiting requests added to the limit; the square root of the limit if that is smaller. */
  readonly queueSize?: number;
  /**
   * The limit changes once in `windowMs` and `windowSamples`, whichever is later: with models of different latency it would
   * otherwise jump with each request.
   */
  readonly windowMs?: number;
  readonly windowSamples?: number;
}

export type GradientSettings = Required<GradientLimitOptions>;

export const gradientDefaults: GradientSettings = {
  initialLimit: 20,
  minLimit: 4,
  maxLimit: 200,
  smoothing: 0.2,
  tolerance: 1.5,
  longWindow: 600,
  queueSize: 4,
  windowMs: 250,
  windowSamples: 10,
};

export interface GradientState {
  /** Concurrency limit, not rounded. */
  readonly limit: number;
  /** Long-run average of latency. */
  readonly longMs: number;
  /** Number of windows so far. */
  readonly count: number;
  /** Latency of the last window, and the variance of a window, estimated from differences of consecutive windows. */
  readonly lastMs: number;
  readonly variance: number;
}

/** Weight of the newest difference in the variance, and the number of standard deviations that count as noise. */
const varianceShare = 0.1;
const noiseDeviations = 2;

export interface LatencySample {
  readonly latencyMs: number;
  /** Requests in flight when this one began, itself included. */
  readonly inFlight: number;
}

/** As in Netflix's: the first windows have equal weight in the average. */
const warmUpWindows = 10;

/** Returns the state after a window with the mean latency `latencyMs` and at most `inFlight` concurrent requests. */
export function advanceGradient(
  state: GradientState,
  { latencyMs, inFlight }: LatencySample,
  settings: GradientSettings,
): GradientState {
  const { minLimit, maxLimit, queueSize, smoothing, tolerance } = settings;
  const count = state.count + 1;
  const shortMs = Math.max(latencyMs, Number.MIN_VALUE);
  const averageMs = averageLongRun(state, shortMs, settings);
  // After an overload the average is lowered faster, or it would hide the next overload.
  const longMs = averageMs / shortMs > 2 ? averageMs * 0.95 : averageMs;
  // The difference of two windows contains the noise of both.
  const squaredDifference = state.count === 0 ? 0 : (shortMs - state.lastMs) ** 2 / 2;
  const variance = Math.min(
    state.variance + (squaredDifference - state.variance) * varianceShare,
    Number.MAX_VALUE,
  );
  const statistics = { longMs, count, lastMs: shortMs, variance };
  // A limit that is not reached cannot be judged.
  if (inFlight < state.limit / 2) return { ...statistics, limit: state.limit };
  const denoisedMs = Math.max(shortMs - noiseDeviations * Math.sqrt(variance), Number.MIN_VALUE);
  const gradient = Math.min(1, Math.max(0.5, (tolerance * longMs) / denoisedMs));
  const estimate = state.limit * gradient + Math.min(queueSize, Math.sqrt(state.limit));
  const limit = state.limit * (1 - smoothing) + estimate * smoothing;
  return { ...statistics, limit: Math.min(maxLimit, Math.max(minLimit, limit)) };
}

function averageLongRun(
  { longMs, count }: GradientState,
  shortMs: number,
  { longWindow }: GradientSettings,
): number {
  const weight = count < warmUpWindows ? 1 / (count + 1) : 2 / (longWindow + 1);
  return longMs + (shortMs - longMs) * weight;
}

/** An adaptive limit for `Admission`. */
export interface ConcurrencyLimit {
  /** A whole number, at least 1. */
  readonly limit: number;
  sample(sample: LatencySample & { readonly ok: boolean; readonly nowMs: number }): void;
}

export class GradientLimit implements ConcurrencyLimit {
  readonly #settings: GradientSettings;
  #state: GradientState;
  #window: { beganMs: number; samples: number; sumMs: number; maxInFlight: number } | undefined;

  /** @throws RangeError for limits that are not 1 ≤ minLimit ≤ initialLimit ≤ maxLimit. */
  constructor(options: GradientLimitOptions = {}) {
    const settings = { ...gradientDefaults, ...options };
    const { initialLimit, minLimit, maxLimit } = settings;
    if (!(minLimit >= 1 && minLimit <= initialLimit && initialLimit <= maxLimit)) {
      throw new RangeError(
        `minLimit is ${minLimit}, initialLimit ${initialLimit}, maxLimit ${maxLimit}; expected 1 ≤ minLimit ≤ initialLimit ≤ maxLimit`,
      );
    }
    this.#settings = settings;
    this.#state = { limit: initialLimit, longMs: 0, count: 0, lastMs: 0, variance: 0 };
  }

  get limit(): number {
    return Math.floor(this.#state.limit);
  }

  /** Long-run average of latency; 0 before the first window. */
  get longRunMs(): number {
    return this.#state.longMs;
  }

  /** Adds a request's latency. A failed request (`ok: false`) counts only if it took longer than the long-run average. */
  sample({ latencyMs, inFlight, ok, nowMs }: Parameters<ConcurrencyLimit['sample']>[0]): void {
    if (!(latencyMs >= 0) || (!ok && latencyMs <= this.#state.longMs)) return;
    this.#window ??= { beganMs: nowMs, samples: 0, sumMs: 0, maxInFlight: 0 };
    const window = this.#window;
    window.samples += 1;
    window.sumMs += latencyMs;
    window.maxInFlight = Math.max(window.maxInFlight, inFlight);
    const { windowMs, windowSamples } = this.#settings;
    if (window.samples < windowSamples || nowMs - window.beganMs < windowMs) return;
    this.#window = undefined;
    const mean = { latencyMs: window.sumMs / window.samples, inFlight: window.maxInFlight };
    this.#state = advanceGradient(this.#state, mean, this.#settings);
  }
}
