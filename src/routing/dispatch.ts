/**
 * Runs one request over the pool: attempts at endpoints, until one answers or none is left. All state here belongs to the
 * one request; it never awaits a promise of another request.
 */
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import {
  deadlineError,
  dispatchAbortedError,
  type FailedAttempt,
  noAnswerError,
  shortReason,
} from './dispatch-errors.ts';
import type { EndpointCriteria } from './endpoint-criteria.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import type { PickTerms } from './picker.ts';
import type { AttemptLease } from './pooled-endpoint.ts';
import {
  type Attempt,
  type AttemptAnswer,
  type AttemptContext,
  AttemptError,
  type AttemptOutcome,
  type Endpoint,
} from './types.ts';

export interface DispatchRequest<T> extends EndpointCriteria {
  /** Whether it may be sent to more than one endpoint. */
  readonly replayable: boolean;
  /** Whether it may be sent to a second endpoint while the first is only late. Requires `replayable`. */
  readonly hedge: boolean;
  /** Time from now for all attempts together. */
  readonly deadlineMs: number;
  /** The caller's signal. */
  readonly signal?: AbortSignal | undefined;
  readonly attempt: Attempt<T>;
}

export interface Dispatched<T> {
  readonly value: T;
  /** The configured name of the endpoint that answered. */
  readonly endpoint: string;
  /** Number of attempts made. */
  readonly attempts: number;
  /** Whether an attempt was made because another was late. */
  readonly hedged: boolean;
}

/**
 * Sends the request to endpoints of the pool until one answers. Settles once, no later than the deadline, and then aborts
 * the attempts that are no longer needed.
 *
 * @throws EdgewiseError `origin_unavailable`, `overloaded`, `residency_unavailable`, `deadline_exceeded`; any error of an
 * attempt other than an AttemptError.
 */
export function dispatch<T>(pool: EndpointPool, request: DispatchRequest<T>): Promise<Dispatched<T>> {
  return new Dispatch(pool, request).begin();
}

/**
 * Share of the hedge budget for requests that have just become late. One request in twenty is later than the 95th
 * percentile, more than the budget allows, and most of them are answered right after; the rest of the budget is for
 * requests that are twice as late.
 */
const firstHedgeShare = 0.25;

/** An endpoint that is silent for so long, or for its own timeout, is probed. A shorter silence counts for nothing. */
const patienceMs = 5000;

/** An attempt in flight. */
interface Flight {
  readonly lease: AttemptLease;
  readonly controller: AbortController;
  readonly cancelTimer: () => void;
}

class Dispatch<T> {
  readonly #pool: EndpointPool;
  readonly #request: DispatchRequest<T>;
  readonly #untilMs: number;
  readonly #result = Promise.withResolvers<Dispatched<T>>();
  /** At most two: a failed attempt is replaced, and a request is hedged once. */
  readonly #flights: Flight[] = [];
  readonly #tried: Endpoint[] = [];
  readonly #failed: FailedAttempt[] = [];
  #hedged = false;
  #cancelHedge: (() => void) | undefined;

  constructor(pool: EndpointPool, request: DispatchRequest<T>) {
    this.#pool = pool;
    this.#request = request;
    this.#untilMs = pool.clock.now() + request.deadlineMs;
  }

  begin(): Promise<Dispatched<T>> {
    const { signal } = this.#request;
    if (signal?.aborted) this.#cancel();
    else if (!(this.#remainingMs > 0)) this.#expire();
    else {
      signal?.addEventListener('abort', this.#cancel);
      this.#pool.countRequest(this.#request);
      if (!this.#send('first')) this.#fail();
    }
    return this.#result.promise;
  }

  get #remainingMs(): number {
    return this.#untilMs - this.#pool.clock.now();
  }

  /** Begins an attempt. @returns whether there was an endpoint for it. */
  #send(purpose: PickTerms['purpose']): boolean {
    const metBusy = this.#failed.some(({ error }) => error.outcome === 'busy');
    const lease = this.#pool.begin(this.#request, { purpose, metBusy, tried: this.#tried });
    if (lease === undefined) return false;
    const { endpoint } = lease;
    const { clock } = this.#pool;
    const { timeoutMs } = endpoint.config;
    const remainingMs = this.#remainingMs;
    const controller = new AbortController();
    const flight: Flight = {
      lease,
      controller,
      // One timer for the limit that comes first.
      cancelTimer:
        remainingMs <= timeoutMs
          ? clock.after(remainingMs, () => this.#expire())
          : clock.after(timeoutMs, () => this.#timeOut(flight)),
    };
    this.#tried.push(endpoint);
    this.#flights.push(flight);
    if (purpose !== 'hedge') this.#armHedge(this.#pool.hedgeDelayMs(this.#request));
    startAttempt(this.#request.attempt, endpoint, { signal: controller.signal, remainingMs }).then(
      (answer) => this.#onAnswer(flight, answer),
      (error: unknown) => this.#onError(flight, error),
    );
    return true;
  }

  #onAnswer(flight: Flight, { value, load, discard }: AttemptAnswer<T>): void {
    if (!this.#land(flight)) {
      discard?.();
      return;
    }
    this.#close('another endpoint answered first');
    this.#pool.end(flight.lease, { outcome: 'success', load, answered: true });
    const endpoint = flight.lease.endpoint.config.name;
    this.#result.resolve({ value, endpoint, attempts: this.#tried.length, hedged: this.#hedged });
  }

  #onError(flight: Flight, error: unknown): void {
    if (!this.#land(flight)) return;
    if (error instanceof AttemptError) {
      this.#retryOrFail(flight, error);
      return;
    }
    // An endpoint that answers "deadline exceeded" shows no more than one that does not answer.
    const isLate = isEdgewiseError(error) && error.code === 'deadline_exceeded';
    this.#close('another endpoint answered first', isLate ? 'late' : 'overtaken');
    this.#pool.end(flight.lease, { outcome: isLate ? this.#outcomeOfSilence(flight) : 'success' });
    this.#result.reject(error);
  }

  #timeOut(flight: Flight): void {
    if (!this.#land(flight)) return;
    const cause = new Error(`gave no answer within ${flight.lease.endpoint.config.timeoutMs} ms`);
    flight.controller.abort(cause);
    const error = new EdgewiseError('origin_unavailable', 'the origin server did not answer in time', {
      cause,
    });
    this.#retryOrFail(
      flight,
      new AttemptError(this.#request.replayable ? 'model-failure' : 'unclear', error),
    );
  }

  /** Ends an attempt without an answer: another attempt may get one. */
  #retryOrFail({ lease }: Flight, error: AttemptError): void {
    const { code, retryAfterSeconds } = error.error;
    this.#pool.end(lease, {
      // If nothing was sent, nothing was learned.
      outcome: error.unsent ? 'abandoned' : error.outcome,
      reason: shortReason(error),
      load: error.load,
      retryAfterSeconds,
      // An endpoint that loads one model still answers for the others.
      ofModel: code === 'model_not_ready' || code === 'no_capacity',
    });
    this.#failed.push({ endpoint: lease.endpoint, error });
    if (this.#retry(error) || this.#flights.length > 0) return;
    if (this.#remainingMs > 0) this.#fail();
    else this.#expire();
  }

  #retry({ outcome, unsent }: AttemptError): boolean {
    const retries = this.#pool.retriesAfter(outcome, this.#request);
    if (!(this.#request.replayable || unsent) || !(this.#remainingMs > 0) || !retries.hasRoom) return false;
    if (!this.#send('retry')) return false;
    retries.spend();
    return true;
  }

  /** Schedules a hedge in `lateAfterMs`; undefined: no hedge. */
  #armHedge(lateAfterMs: number | undefined): void {
    this.#cancelHedge?.();
    this.#cancelHedge = undefined;
    const { hedge, replayable } = this.#request;
    if (lateAfterMs === undefined || !hedge || !replayable || this.#hedged) return;
    this.#scheduleHedge(lateAfterMs, lateAfterMs, firstHedgeShare);
  }

  /**
   * Sends the request a second time after `delayMs` if `share` of the hedge budget has room. Otherwise tries again when the
   * request has waited twice `waitedMs`, and so on.
   */
  #scheduleHedge(delayMs: number, waitedMs: number, share: number): void {
    if (delayMs >= this.#remainingMs) return;
    this.#cancelHedge = this.#pool.clock.after(delayMs, () => {
      const { hedges } = this.#pool;
      this.#hedged = hedges.hasRoomWithin(share) && this.#send('hedge');
      if (this.#hedged) hedges.spend();
      else this.#scheduleHedge(waitedMs, waitedMs * 2, 1);
    });
  }

  readonly #cancel = (): void => {
    this.#close('the caller left', 'abandoned');
    this.#result.reject(dispatchAbortedError(this.#request.signal?.reason));
  };

  #expire(): void {
    this.#close('the time for the request is over', 'late');
    this.#result.reject(deadlineError(this.#tried, this.#failed));
  }

  #fail(): void {
    this.#close('no endpoint is left');
    const { replayable } = this.#request;
    const last = this.#failed.at(-1)?.error.outcome ?? 'failure';
    const hasRoom = this.#pool.retriesAfter(last, this.#request).hasRoom;
    const stopped = replayable && !hasRoom ? 'the budget for retries is spent' : undefined;
    this.#result.reject(
      noAnswerError(this.#pool, {
        criteria: this.#request,
        tried: this.#tried,
        failed: this.#failed,
        stopped,
      }),
    );
  }

  /** Removes the attempt from those in flight. @returns whether it was in flight. */
  #land(flight: Flight): boolean {
    const at = this.#flights.indexOf(flight);
    if (at < 0) return false;
    this.#flights.splice(at, 1);
    flight.cancelTimer();
    return true;
  }

  /** Aborts all attempts in flight and removes timers and listeners. */
  #close(reason: string, why: 'overtaken' | 'late' | 'abandoned' = 'overtaken'): void {
    this.#request.signal?.removeEventListener('abort', this.#cancel);
    this.#cancelHedge?.();
    for (const flight of [...this.#flights]) {
      this.#land(flight);
      this.#pool.end(flight.lease, { outcome: this.#outcomeOfUnanswered(flight, why), reason });
      flight.controller.abort(new Error(reason));
    }
  }

  /** Returns the outcome of an attempt that is aborted before it was answered. */
  #outcomeOfUnanswered(flight: Flight, why: 'overtaken' | 'late' | 'abandoned'): AttemptOutcome {
    if (why === 'abandoned') return 'abandoned';
    if (why === 'late') return this.#outcomeOfSilence(flight);
    return this.#pool.isLate(flight.lease) ? 'overtaken' : 'abandoned';
  }

  /** Returns the outcome of an attempt when the deadline passes first. A short deadline is the caller's choice. */
  #outcomeOfSilence({ lease }: Flight): 'model-failure' | 'unclear' | 'abandoned' {
    const { timeoutMs } = lease.endpoint.config;
    const tookMs = this.#pool.clock.now() - lease.beganMs;
    if (tookMs >= timeoutMs && this.#request.replayable) return 'model-failure';
    return tookMs >= Math.min(timeoutMs, patienceMs) ? 'unclear' : 'abandoned';
  }
}

/** Starts the attempt; an error that it throws before its first `await` becomes a rejection too. */
async function startAttempt<T>(
  attempt: Attempt<T>,
  endpoint: Endpoint,
  context: AttemptContext,
): Promise<AttemptAnswer<T>> {
  return attempt(endpoint, context);
}
