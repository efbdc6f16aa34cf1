/**
 * How often somebody may ask: protection of the server, so approximate, and never a thing that a request waits for. What
 * money or rights hang on is counted by the meters.
 */
import type { Rate } from './schema.ts';

/** What is said of one request. */
export interface RateVerdict {
  readonly permitted: boolean;
  readonly rate: Rate;
  /** Requests that are left now, as far as is known here. */
  readonly remaining: number;
  /** In how many seconds, whole ones and at least 1, there are more. */
  readonly resetSeconds: number;
}

export interface RateLimiter {
  /** Counts one request of `subject`, and says at once whether it may be answered. One that is refused is not counted. */
  take(subject: string, rate: Rate): RateVerdict;
}

/** A counter that several processes share, and that is asked after the fact. */
export interface SharedCounter {
  /** Adds `requests` of `subject`: whether they were all within its rate. */
  add(subject: string, rate: Rate, requests: number): Promise<'within' | 'over'>;
}
