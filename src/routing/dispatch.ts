/**
 * One request at the pool: the attempts it takes until there is an answer, or none can be had. Everything here belongs to
 * the one request; nothing is awaited that another request made.
 */
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import { callerLeft, type FailedAttempt, reasonOf, tooLate, unanswered } from './dispatch-errors.ts';
import type { AttemptLease, EndpointCriteria, EndpointPool } from './endpoint-pool.ts';
import type { PickTerms } from './picker.ts';
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
  /** Whether it may be sent to a second endpoint while the first is only late. Wants `replayable`. */
  readonly hedge: boolean;
  /** From now, all attempts together. */
  readonly deadlineMs: number;
  /** The caller's. */
  readonly signal?: AbortSignal | undefined;
  readonly attempt: Attempt<T>;
}

export interface Dispatched<T> {
  readonly value: T;
  /** The configured name of the endpoint that answered. */
  readonly endpoint: string;
  /** How many were asked. */
  readonly attempts: number;
  /** Whether one was asked because another was late. */
  readonly hedged: boolean;
}

/**
 * Settles once, no later than the deadline; attempts that are not needed any more are aborted then.
 *
 * @throws EdgewiseError `origin_unavailable`, `overloaded`, `residency_unavailable`, `deadline_exceeded`; whatever an
 * attempt throws that is no AttemptError.
 */
export function dispatch<T>(pool: EndpointPool, request: DispatchRequest<T>): Promise<Dispatched<T>> {
  return new Dispatching(pool, request).begin();
}

/**
 * One request in twenty is later than the 95th percentile, more than the budget has room for, and most are answered at
 * once then. They may use this share of it; the rest is for those that are twice as late.
 */
const firstHedgeShare = 0.25;

/** An endpoint that is silent for so long, or for all of its own time, is probed; before, nothing is learned of it. */
const patienceMs = 5000;

/** An attempt on its way. */
interface Flight {
  readonly lease: AttemptLease;
  readonly controller: AbortController;
  readonly cancelTimer: () => void;
}

class Dispatching<T> {
  readonly #pool: EndpointPool;
  readonly #request: DispatchRequest<T>;
  readonly #untilMs: number;
  readonly #result = Promise.withResolvers<Dispatched<T>>();
  /** At most two: one is replaced when it lands, and a hedge goes out once. */
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
    if (signal?.aborted) this.#leave();
    else if (!(this.#remainingMs > 0)) this.#expire();
    else {
      signal?.addEventListener('abort', this.#leave);
      this.#pool.arrive(this.#request);
      if (!this.#send('first')) this.#fail();
    }
    return this.#result.promise;
  }

  get #remainingMs(): number {
    return this.#untilMs - this.#pool.clock.now();
  }

  /** @returns whether there was an endpoint for it. */
  #send(purpose: PickTerms['purpose']): boolean {
    const { model, version, protocol, jurisdiction, replayable, attempt } = this.#request;
    const metBusy = this.#failed.some(({ error }) => error.outcome === 'busy');
    const tried = this.#tried;
    const wanted = { model, version, protocol, jurisdiction, replayable, metBusy, purpose, tried };
    const lease = this.#pool.begin(wanted);
    if (lease === undefined) return false;
    const { endpoint } = lease;
    const { clock } = this.#pool;
    const { timeoutMs } = endpoint.config;
    const remainingMs = this.#remainingMs;
    const controller = new AbortController();
    const flight: Flight = {
      lease,
      controller,
      // One timer for both limits: whichever comes first.
      cancelTimer:
        remainingMs <= timeoutMs
          ? clock.after(remainingMs, () => this.#expire())
          : clock.after(timeoutMs, () => this.#timeOut(flight)),
    };
    this.#tried.push(endpoint);
    this.#flights.push(flight);
    if (purpose !== 'hedge') this.#armHedge(this.#pool.hedgeDelayMs(this.#request));
    asked(attempt, endpoint, { signal: controller.signal, remainingMs }).then(
      (answer) => this.#answered(flight, answer),
      (error: unknown) => this.#threw(flight, error),
    );
    return true;
  }

  #answered(flight: Flight, { value, load, discard }: AttemptAnswer<T>): void {
    if (!this.#land(flight)) {
      discard?.();
      return;
    }
    this.#close('another endpoint answered first');
    this.#pool.end(flight.lease, { outcome: 'success', load, answered: true });
    const endpoint = flight.lease.endpoint.config.name;
    this.#result.resolve({ value, endpoint, attempts: this.#tried.length, hedged: this.#hedged });
  }

  #threw(flight: Flight, error: unknown): void {
    if (!this.#land(flight)) return;
    if (error instanceof AttemptError) {
      this.#miss(flight, error);
      return;
    }
    // An endpoint that answers that the time is over says no more than one that does not answer.
    const isLate = isEdgewiseError(error) && error.code === 'deadline_exceeded';
    this.#close('another endpoint answered first', isLate ? 'late' : 'overtaken');
    this.#pool.end(flight.lease, { outcome: isLate ? this.#silence(flight) : 'success' });
    this.#result.reject(error);
  }

  #timeOut(flight: Flight): void {
    if (!this.#land(flight)) return;
    const cause = new Error(`gave no answer within ${flight.lease.endpoint.config.timeoutMs} ms`);
    flight.controller.abort(cause);
    const error = new EdgewiseError('origin_unavailable', 'the origin server did not answer in time', {
      cause,
    });
    this.#miss(flight, new AttemptError(this.#request.replayable ? 'model-failure' : 'unclear', error));
  }

  /** The attempt got no answer, another one may. */
  #miss({ lease }: Flight, error: AttemptError): void {
    const { code, retryAfterSeconds } = error.error;
    this.#pool.end(lease, {
      // Where nothing was sent, nothing was learned.
      outcome: error.unsent ? 'abandoned' : error.outcome,
      reason: reasonOf(error),
      load: error.load,
      retryAfterSeconds,
      // An endpoint that loads one model goes on answering for the others.
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

  /** Sends the request a second time when it is not answered in time; undefined: it is never late. */
  #armHedge(lateAfterMs: number | undefined): void {
    this.#cancelHedge?.();
    this.#cancelHedge = undefined;
    const { hedge, replayable } = this.#request;
    if (lateAfterMs === undefined || !hedge || !replayable || this.#hedged) return;
    this.#hedgeIn(lateAfterMs, lateAfterMs, firstHedgeShare);
  }

  /** In `delayMs`, or after `waitedMs` as a whole twice as late, and so on: as soon as `share` of the budget has room. */
  #hedgeIn(delayMs: number, waitedMs: number, share: number): void {
    if (delayMs >= this.#remainingMs) return;
    this.#cancelHedge = this.#pool.clock.after(delayMs, () => {
      const { hedges } = this.#pool;
      this.#hedged = hedges.hasRoomWithin(share) && this.#send('hedge');
      if (this.#hedged) hedges.spend();
      else this.#hedgeIn(waitedMs, waitedMs * 2, 1);
    });
  }

  readonly #leave = (): void => {
    this.#close('the caller left', 'abandoned');
    this.#result.reject(callerLeft(this.#request.signal?.reason));
  };

  #expire(): void {
    this.#close('the time for the request is over', 'late');
    this.#result.reject(tooLate(this.#tried, this.#failed));
  }

  #fail(): void {
    this.#close('no endpoint is left');
    const { replayable } = this.#request;
    const last = this.#failed.at(-1)?.error.outcome ?? 'failure';
    const hasRoom = this.#pool.retriesAfter(last, this.#request).hasRoom;
    const stopped = replayable && !hasRoom ? 'the budget for retries is spent' : undefined;
    this.#result.reject(
      unanswered(this.#pool, { wanted: this.#request, tried: this.#tried, failed: this.#failed, stopped }),
    );
  }

  /** @returns whether the attempt was in flight, which it is not any more. */
  #land(flight: Flight): boolean {
    const at = this.#flights.indexOf(flight);
    if (at < 0) return false;
    this.#flights.splice(at, 1);
    flight.cancelTimer();
    return true;
  }

  /** Gives up what is in flight and leaves nothing behind. */
  #close(reason: string, why: 'overtaken' | 'late' | 'abandoned' = 'overtaken'): void {
    this.#request.signal?.removeEventListener('abort', this.#leave);
    this.#cancelHedge?.();
    for (const flight of [...this.#flights]) {
      this.#land(flight);
      this.#pool.end(flight.lease, { outcome: this.#verdict(flight, why), reason });
      flight.controller.abort(new Error(reason));
    }
  }

  /** What it says of an endpoint that it has not answered yet. */
  #verdict(flight: Flight, why: 'overtaken' | 'late' | 'abandoned'): AttemptOutcome {
    if (why === 'abandoned') return 'abandoned';
    if (why === 'late') return this.#silence(flight);
    return this.#pool.isLate(flight.lease) ? 'overtaken' : 'abandoned';
  }

  /** What it says of an endpoint that the time of the request was over first. A short one is the caller's choice. */
  #silence({ lease }: Flight): 'model-failure' | 'unclear' | 'abandoned' {
    const { timeoutMs } = lease.endpoint.config;
    const tookMs = this.#pool.clock.now() - lease.beganMs;
    if (tookMs >= timeoutMs && this.#request.replayable) return 'model-failure';
    return tookMs >= Math.min(timeoutMs, patienceMs) ? 'unclear' : 'abandoned';
  }
}

/** What an attempt throws before its first `await` is its rejection too. */
async function asked<T>(
  attempt: Attempt<T>,
  endpoint: Endpoint,
  context: AttemptContext,
): Promise<AttemptAnswer<T>> {
  return attempt(endpoint, context);
}
