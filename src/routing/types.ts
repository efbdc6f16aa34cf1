/** Types that the modules of routing share. */
import type { EdgewiseError } from '../errors.ts';
import type { LoadReport } from '../protocol/load-report.ts';
import type { EndpointConfig } from './endpoint-config.ts';

/** A configured endpoint with the means to reach it. `platform/` creates each endpoint once. */
export interface Endpoint {
  readonly config: EndpointConfig;
  /** The global `fetch`, or the `fetch` of the binding that the configuration names. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Headers sent with every request: `Authorization`. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * How an attempt at one endpoint ended. Only `failure` and `overtaken` count against the health of the endpoint: a failing
 * model or request must not take the endpoint away from other models (docs/decisions/0020-whose-fault.md).
 * - `success`: the endpoint answered, or rejected the request as invalid.
 * - `failure`: the endpoint itself failed: not reached, 502, a wrong key, another protocol.
 * - `model-failure`: the endpoint failed for this model or this request, and may work for others: 500, an answer that does
 *   not match the model, no answer within the endpoint's timeout. Counted per model at the endpoint.
 * - `unclear`: no answer, and the caller may be the cause: the caller's deadline was shorter than the endpoint's timeout,
 *   or the connection broke while a large body was sent. Counted against nothing; the endpoint is probed.
 * - `busy`: the endpoint works, but does not take this request now (429, a model that is being loaded).
 * - `lacks-model`: the endpoint works, but does not have the model.
 * - `overtaken`: another attempt of the same request answered first, after this one was already late.
 * - `abandoned`: cancelled for a reason that says nothing about the endpoint (the caller left).
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

/** The end of an attempt, as the pool counts it. */
export interface LeaseEnd {
  readonly outcome: AttemptOutcome;
  /** Why the attempt failed, for the log. */
  readonly reason?: string | undefined;
  readonly load?: LoadReport | undefined;
  /** `Retry-After` of the answer, if it had one. */
  readonly retryAfterSeconds?: number | undefined;
  /** True if `busy` or `failure` concerns this model only, not the whole endpoint. */
  readonly ofModel?: boolean;
  /** True if the endpoint returned a result, not an error: only then is the latency typical of the model. */
  readonly answered?: boolean;
}

/** Thrown by an attempt when another endpoint may succeed. Any other error is returned to the caller. */
export class AttemptError extends Error {
  override readonly name = 'AttemptError';
  readonly outcome: Extract<AttemptOutcome, 'failure' | 'model-failure' | 'unclear' | 'busy' | 'lacks-model'>;
  /** The error for the caller if no other endpoint succeeds. Its cause is for the log. */
  readonly error: EdgewiseError;
  readonly load: LoadReport | undefined;
  /** True if nothing of the request was sent: even a request that can be sent only once may go to another endpoint. */
  readonly unsent: boolean;

  constructor(outcome: AttemptError['outcome'], error: EdgewiseError, load?: LoadReport, unsent = false) {
    super(error.message, { cause: error.cause });
    this.outcome = outcome;
    this.error = error;
    this.load = load;
    this.unsent = unsent;
  }

  /** Why the attempt failed, for the log. */
  get reason(): string {
    return this.error.cause instanceof Error ? this.error.cause.message : this.error.message;
  }
}

export interface AttemptContext {
  /**
   * Aborted when the attempt is no longer needed or has timed out. It has no effect once the attempt has resolved: a
   * streamed answer continues under the caller's own signal.
   */
  readonly signal: AbortSignal;
  /** Time left for the whole request when the attempt begins. */
  readonly remainingMs: number;
}

export interface AttemptAnswer<T> {
  readonly value: T;
  readonly load?: LoadReport | undefined;
  /**
   * Releases what the answer holds open (the body of a stream). Call it if the answer is not used, because another attempt
   * was first or the caller has left. Absent if the answer holds nothing open.
   */
  readonly discard?: (() => void) | undefined;
}

/** Sends one request to one endpoint. @throws AttemptError, or an EdgewiseError that is returned to the caller. */
export type Attempt<T> = (endpoint: Endpoint, context: AttemptContext) => Promise<AttemptAnswer<T>>;
