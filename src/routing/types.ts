/** What the parts of routing tell one another. */
import type { EdgewiseError } from '../errors.ts';
import type { EndpointConfig } from './endpoint-config.ts';

/** A configured endpoint with the means to reach it. `platform/` makes them, once. */
export interface Endpoint {
  readonly config: EndpointConfig;
  /** `fetch`, or that of the binding the configuration names. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Sent with every request: `Authorization`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What an endpoint says of its load with an answer (ORCA, cncf/xds orca_load_report.proto). */
export interface LoadReport {
  /** 0 idle, 1 full; above 1 overloaded. */
  readonly utilisation: number;
  /** Requests that wait at the endpoint, where it says so. */
  readonly queued?: number;
}

/**
 * How an attempt at one endpoint ended. The health of the endpoint counts `failure` and `overtaken` alone: a model or a
 * request that goes wrong must not take the endpoint from other models (docs/decisions/0020-whose-fault.md).
 * - `success`: it answered, or it said that the request is wrong.
 * - `failure`: the endpoint's own: not reached, 502, a wrong key, another protocol.
 * - `model-failure`: it failed for this model or this request, and may be well for others: 500, an answer that is not the
 *   model's, no answer within the endpoint's time. Counted for each model at the endpoint.
 * - `unclear`: no answer, where the caller may be the reason: the caller's time was shorter than the endpoint's, or the
 *   connection broke while a large body was sent. Counted against nothing; the endpoint is probed.
 * - `busy`: alive and working, but does not take this request now (429, a model that is being loaded).
 * - `lacks-model`: alive, but does not have the model.
 * - `overtaken`: another attempt of the same request answered first, after this one was already late.
 * - `abandoned`: given up for a reason that says nothing about it (the caller left).
 */
export type AttemptOutcome =
  | 'success'
  | 'failure'
  | 'model-failure'
  | 'unclear'
  | 'busy'
  | 'lacks-model'
  | 'overtaken'
  | 'abandoned';

/** How an attempt ended. */
export interface LeaseEnd {
  readonly outcome: AttemptOutcome;
  /** Why, for the log. */
  readonly reason?: string | undefined;
  readonly load?: LoadReport | undefined;
  /** `Retry-After`, where it said so. */
  readonly retryAfterSeconds?: number | undefined;
  /** Whether only this model is concerned by it. */
  readonly ofModel?: boolean;
  /** Whether there is an answer, as against an error that is the answer: its latency is one to expect. */
  readonly answered?: boolean;
}

/** What an attempt throws when another endpoint may do better. Any other error is the answer to the caller. */
export class AttemptError extends Error {
  override readonly name = 'AttemptError';
  readonly outcome: Extract<AttemptOutcome, 'failure' | 'model-failure' | 'unclear' | 'busy' | 'lacks-model'>;
  /** What the caller is told when no other endpoint does better. Its cause is for the log. */
  readonly error: EdgewiseError;
  readonly load: LoadReport | undefined;
  /** Whether nothing of the request was sent: another endpoint may have it even where it can be sent only once. */
  readonly unsent: boolean;

  constructor(outcome: AttemptError['outcome'], error: EdgewiseError, load?: LoadReport, unsent = false) {
    super(error.message, { cause: error.cause });
    this.outcome = outcome;
    this.error = error;
    this.load = load;
    this.unsent = unsent;
  }
}

export interface AttemptContext {
  /**
   * Aborted when the attempt is not wanted any more, or its time is over. Once the attempt has resolved it means nothing
   * to it: a stream that it answered with lives on, under the caller's own signal.
   */
  readonly signal: AbortSignal;
  /** What is left for the whole request when the attempt begins, in milliseconds. */
  readonly remainingMs: number;
}

export interface AttemptAnswer<T> {
  readonly value: T;
  readonly load?: LoadReport | undefined;
  /**
   * To be called where the answer is not used, because another attempt was first or the caller has left: it lets go of
   * what the answer holds open (the body of a stream). Absent: nothing is.
   */
  readonly discard?: (() => void) | undefined;
}

/** One request at one endpoint. @throws AttemptError, or an EdgewiseError that is the answer to the caller. */
export type Attempt<T> = (endpoint: Endpoint, context: AttemptContext) => Promise<AttemptAnswer<T>>;
