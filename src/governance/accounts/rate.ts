/**
 * Rate limits protect the server. They are approximate, and no request waits for them. Use that decides money or rights is
 * counted by meters (`../quota/`).
 */
import type { Rate } from './schema.ts';

/** The verdict on one request. */
export interface RateVerdict {
  readonly permitted: boolean;
  readonly rate: Rate;
  /** Requests left now, as far as this process knows. */
  readonly remaining: number;
  /** Whole seconds, at least 1, until more requests are permitted. */
  readonly resetSeconds: number;
}

export interface RateLimiter {
  /** Counts one request of `subject` and decides whether it is permitted. A refused request is not counted. */
  take(subject: string, rate: Rate): RateVerdict;
}

/** A counter shared by several processes, which report requests to it after answering them. */
export interface SharedCounter {
  /** Adds `requests` of `subject`. Returns whether all of them were within the rate. */
  add(subject: string, rate: Rate, requests: number): Promise<'within' | 'over'>;
}
