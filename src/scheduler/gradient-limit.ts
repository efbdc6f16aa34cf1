/**
 * How many requests a server takes on at once, found from how long they take: Gradient2 of Netflix's concurrency-limits.
 * While requests take what they took in the long run there is room for some more; once they take more than `tolerance`
 * times as long, the limit shrinks by the ratio of the two.
 *
 * What they take is held against its own noise: how much it differs from one window to the next says how little a single
 * window means. Noise goes on and on, trouble steps up once, so it hides trouble for some windows only.
 *
 * Two things differ from Netflix's. The floor is lower, since a server with one GPU may be full with four; the room for
 * a queue shrinks with the limit, which a constant one would hold above that floor. What it gives up: under load that
 * never lets up the long run becomes as slow as the present, and the limit drifts up. It bounds how fast a server gets
 * into trouble; that it never gets beyond a point is for a fixed bound beside it (`Admission`).
 */
export interface GradientLimitOptions {
  readonly initialLimit?: number;
  readonly minLimit?: number;
  readonly maxLimit?: number;
  /** Share of the newest estimate in the limit, above 0 to 1. */
  readonly smoothing?: number;
  /** How many times as long as in the long run requests may take without the limit shrinking; at least 1. */
  readonly tolerance?: number;
  /** Windows that the long run remembers. */
  readonly longWindow?: number;
  /** Requests that may wait while the limit stands where nothing has to wait. */
  readonly queueSize?: number;
  /**
   * The limit moves once in so many milliseconds, and so many samples, whichever comes later: models that differ in what
   * they take would have it jump with each request.
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
  /** Not rounded. */
  readonly limit: number;
  readonly longMs: number;
  /** Windows seen. */
  readonly count: number;
  /** Of the last window, and the variance of a window as the steps from one to the next show it. */
  readonly lastMs: number;
  readonly variance: number;
}

/** Share of the newest step in the variance, and how many standard deviations count as noise. */
const varianceShare = 0.1;
const noiseDeviations = 2;

export interface LatencySample {
  readonly latencyMs: number;
  /** Requests in flight when this one began, itself included. */
  readonly inFlight: number;
}

/** Netflix's: so many first samples are averaged plainly. */
const warmUp = 10;

/** The state after one window whose requests took `latencyMs` on average, with at most `inFlight` of them at once. */
export function gradientStep(
  state: GradientState,
  { latencyMs, inFlight }: LatencySample,
  settings: GradientSettings,
): GradientState {
  const { minLimit, maxLimit, queueSize, smoothing, tolerance } = settings;
  const count = state.count + 1;
  const shortMs = Math.max(latencyMs, Number.MIN_VALUE);
  const averagedMs = longRunMs(state, shortMs, settings);
  // After trouble the long run is brought down faster than by averages, or it would excuse the next trouble.
  const longMs = averagedMs / shortMs > 2 ? averagedMs * 0.95 : averagedMs;
  // Two windows differ by the noise of both.
  const step = state.count === 0 ? 0 : (shortMs - state.lastMs) ** 2 / 2;
  const variance = Math.min(state.variance + (step - state.variance) * varianceShare, Number.MAX_VALUE);
  const seen = { longMs, count, lastMs: shortMs, variance };
  // What is not made use of says nothing about its limit.
  if (inFlight < state.limit / 2) return { ...seen, limit: state.limit };
  const certainMs = Math.max(shortMs - noiseDeviations * Math.sqrt(variance), Number.MIN_VALUE);
  const gradient = Math.min(1, Math.max(0.5, (tolerance * longMs) / certainMs));
  const estimate = state.limit * gradient + Math.min(queueSize, Math.sqrt(state.limit));
  const limit = state.limit * (1 - smoothing) + estimate * smoothing;
  return { ...seen, limit: Math.min(maxLimit, Math.max(minLimit, limit)) };
}

function longRunMs(
  { longMs, count }: GradientState,
  shortMs: number,
  { longWindow }: GradientSettings,
): number {
  const share = count < warmUp ? 1 / (count + 1) : 2 / (longWindow + 1);
  return longMs + (shortMs - longMs) * share;
}

/** What `Admission` asks of a limit that adapts. */
export interface ConcurrencyLimit {
  /** Whole, at least 1. */
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
        `limits of ${minLimit} to ${maxLimit}, from ${initialLimit}: wanted 1 ≤ minLimit ≤ initialLimit ≤ maxLimit`,
      );
    }
    this.#settings = settings;
    this.#state = { limit: initialLimit, longMs: 0, count: 0, lastMs: 0, variance: 0 };
  }

  get limit(): number {
    return Math.floor(this.#state.limit);
  }

  /** What requests take in the long run, in milliseconds; 0 before the first window. */
  get longRunMs(): number {
    return this.#state.longMs;
  }

  /** `ok: false`: it failed. That it failed soon says nothing, that it took longer than others before says they wait. */
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
    this.#state = gradientStep(this.#state, mean, this.#settings);
  }
}
