/**
 * The endpoints of the origin pool as this isolate knows them: chooses the endpoint of each attempt and learns from its
 * outcome. State is plain data; what a request that dies leaves behind expires (`PooledEndpoint.endExpired`).
 */
import type { Clock } from '../async/clock.ts';
import { Lru } from '../async/lru.ts';
import { Budget, budgetWindowMs, SlidingCount } from './budget.ts';
import { servesModel } from './endpoint-config.ts';
import {
  type EndpointCriteria,
  isConfiguredFor,
  modelOfKey,
  type VersionCriteria,
  versionKey,
} from './endpoint-criteria.ts';
import type { EndpointState } from './endpoint-health.ts';
import type { BudgetsSnapshot, EndpointSnapshot } from './endpoint-snapshot.ts';
import { ModelBook } from './model-book.ts';
import { type HoldReason, type PickTerms, pick } from './picker.ts';
import {
  type AttemptLease,
  type EndpointHealthChange,
  PooledEndpoint,
  type ProbeFinding,
} from './pooled-endpoint.ts';
import type { AttemptOutcome, Endpoint, LeaseEnd } from './types.ts';

export interface EndpointChange {
  /** Configured name of the endpoint. */
  readonly endpoint: string;
  /**
   * `name`, or `name@version`, if only that model's health at the endpoint changed; absent: the endpoint's own health.
   */
  readonly model?: string;
  readonly state: EndpointState;
  /** For the log. */
  readonly reason: string;
}

export interface EndpointPoolOptions {
  readonly endpoints: readonly Endpoint[];
  readonly clock: Clock;
  /** Returns a number from 0 to 1, 1 excluded. Default `Math.random`. */
  readonly random?: () => number;
  /** Whether slow requests are sent a second time. Default true. */
  readonly hedging?: boolean | undefined;
  /** Called when an endpoint, or a model at it, is ejected or readmitted. */
  readonly onChange?: ((change: EndpointChange) => void) | undefined;
  /** Probes an endpoint in doubt, independently of any request; pass the result to `applyProbe`. Absent: no probes. */
  readonly probe?: ((endpoint: Endpoint) => void) | undefined;
}

export interface AttemptRequest extends EndpointCriteria {
  readonly replayable: boolean;
}

export interface AttemptTerms extends Pick<PickTerms, 'purpose' | 'metBusy'> {
  /** Endpoints that the request was sent to before. */
  readonly tried: readonly Endpoint[];
}

/** Most model versions that the pool keeps figures for; the least recently requested one is forgotten first. */
const maxModels = 256;
/** When an attempt counts as late if nothing is known about its model. */
const lateAfterMs = 5000;

export class EndpointPool {
  readonly clock: Clock;
  /** Budget for requests that are sent to a second endpoint because the first failed, was busy or lacked the model. */
  readonly retries: Budget;
  /** Requests that are sent to a second endpoint because the first is late. */
  readonly hedges: Budget;
  readonly #endpoints: readonly PooledEndpoint[];
  readonly #random: () => number;
  readonly #hedging: boolean;
  readonly #onChange: ((change: EndpointChange) => void) | undefined;
  readonly #probe: ((endpoint: Endpoint) => void) | undefined;
  readonly #requests = new SlidingCount();
  readonly #books = new Lru<string, ModelBook>({ maxBytes: maxModels });

  constructor({ endpoints, clock, random, hedging, onChange, probe }: EndpointPoolOptions) {
    this.clock = clock;
    this.retries = new Budget({ clock, requests: this.#requests, percent: 20, floor: 3 });
    this.hedges = new Budget({ clock, requests: this.#requests, percent: 2, floor: 0 });
    this.#endpoints = endpoints.map((endpoint) => new PooledEndpoint(endpoint));
    this.#random = random ?? Math.random;
    this.#hedging = hedging ?? true;
    this.#onChange = onChange;
    this.#probe = probe;
  }

  /**
   * Returns whether the pool can serve a request, from what it knows, without contacting an endpoint. `able`: an endpoint
   * accepts requests for the model, and is healthy or due for a probe. `failing`: only others. `none`: none is configured for it.
   */
  ability(criteria: EndpointCriteria): 'able' | 'failing' | 'none' {
    const nowMs = this.clock.now();
    const matching = this.#endpoints.filter(({ endpoint }) => isConfiguredFor(endpoint.config, criteria));
    for (const one of matching) one.endExpired(nowMs);
    if (matching.length === 0) return 'none';
    const key = versionKey(criteria);
    const able = matching.some(
      (one) =>
        (one.stateFor(key) === 'healthy' || one.isProbeDue(key, nowMs, 0)) &&
        one.heldFor(key, nowMs) === undefined,
    );
    return able ? 'able' : 'failing';
  }

  /**
   * Marks the endpoint `name` as suspect, because stored probe results say that it is down. See
   * `EndpointHealth.markSuspect`.
   */
  markSuspect(name: string): void {
    const one = this.#endpoints.find(({ endpoint }) => endpoint.config.name === name);
    if (one !== undefined) this.#report(one, one.health.markSuspect(this.clock.now()));
  }

  /** Applies the result of a readiness probe. */
  applyProbe(endpoint: Endpoint, result: ProbeFinding): void {
    const one = this.#endpoints.find((other) => other.endpoint === endpoint);
    if (one !== undefined)
      this.#report(
        one,
        one.applyProbe(result, this.clock.now(), () => this.#mayEject(one)),
      );
  }

  snapshot(): readonly EndpointSnapshot[] {
    const nowMs = this.clock.now();
    return this.#endpoints.map((one) => {
      one.endExpired(nowMs);
      return one.snapshot(nowMs);
    });
  }

  budgets(): BudgetsSnapshot {
    return {
      requests: this.#requests.atLeast(this.clock.now()),
      retries: this.retries.spent,
      hedges: this.hedges.spent,
      windowMs: budgetWindowMs,
      retryLimit: this.retries.limit,
      hedgeLimit: this.hedges.limit,
    };
  }

  /** Counts a request. The budgets are shares of the requests counted. */
  countRequest(criteria: VersionCriteria): void {
    const nowMs = this.clock.now();
    this.#requests.add(nowMs);
    this.#bookOf(versionKey(criteria)).requests.add(nowMs);
  }

  /**
   * Returns the budget that a second attempt is taken from. After a failure of the model or the request it is the model's
   * own budget, so that a failing model does not use up the retries of other models.
   */
  retriesAfter(outcome: AttemptOutcome, criteria: VersionCriteria): Budget {
    return outcome === 'model-failure' || outcome === 'unclear'
      ? this.#bookOf(versionKey(criteria)).retries
      : this.retries;
  }

  /**
   * Chooses an endpoint and begins an attempt there; the caller ends it with `end`.
   *
   * @returns undefined if no endpoint can take it.
   */
  begin(request: AttemptRequest, { tried, purpose, metBusy }: AttemptTerms): AttemptLease | undefined {
    const nowMs = this.clock.now();
    const candidates: PooledEndpoint[] = [];
    for (const one of this.#endpoints) {
      const { endpoint } = one;
      if (tried.includes(endpoint) || !isConfiguredFor(endpoint.config, request)) continue;
      one.endExpired(nowMs);
      candidates.push(one);
    }
    const mayProbe = () => request.replayable && this.retries.hasRoom;
    const key = versionKey(request);
    const random = this.#random;
    const picked = pick(candidates, { model: key, nowMs, random, purpose, metBusy, mayProbe });
    return picked?.begin(request.model, key, nowMs);
  }

  /** Ends an attempt. Idempotent. */
  end(lease: AttemptLease, end: LeaseEnd): void {
    const one = this.#endpoints.find(({ endpoint }) => endpoint === lease.endpoint);
    if (one === undefined) return;
    const nowMs = this.clock.now();
    if (end.answered === true) this.#bookOf(lease.key).latencies.add(nowMs - lease.beganMs);
    const changes = one.end(lease, end, nowMs, (key) => this.#mayEject(one, key));
    for (const change of changes) this.#report(one, change);
    if (this.#probe !== undefined && one.takeProbe(nowMs)) this.#probe(one.endpoint);
  }

  /**
   * Returns the milliseconds after which an unanswered request may be sent a second time; undefined: never. Requests for a
   * failing model are not hedged: they would use up the hedges of other models.
   */
  hedgeDelayMs(criteria: VersionCriteria): number | undefined {
    if (!this.#hedging) return undefined;
    const key = versionKey(criteria);
    const delayMs = this.#books.peek(key)?.p95Ms;
    const nowMs = this.clock.now();
    return delayMs === undefined || this.#endpoints.some((one) => one.isFailingFor(key, nowMs))
      ? undefined
      : delayMs;
  }

  /** Whether the attempt takes longer than 95 % of the model's attempts. */
  isLate({ key, beganMs }: AttemptLease): boolean {
    return this.clock.now() - beganMs >= (this.#books.peek(key)?.p95Ms ?? lateAfterMs);
  }

  /** Returns the untried endpoints that do not accept the request now, with the reason. */
  passedOver(
    criteria: EndpointCriteria,
    tried: readonly Endpoint[],
  ): readonly { readonly endpoint: string; readonly outcome: HoldReason }[] {
    const nowMs = this.clock.now();
    return this.#endpoints.flatMap((one) => {
      const { endpoint } = one;
      if (tried.includes(endpoint) || !isConfiguredFor(endpoint.config, criteria)) return [];
      const outcome = one.heldFor(versionKey(criteria), nowMs);
      return outcome === undefined ? [] : [{ endpoint: endpoint.config.name, outcome }];
    });
  }

  /** Returns the milliseconds until an endpoint may accept the request; 0 if one may now, or none is configured for it. */
  freeInMs(criteria: EndpointCriteria): number {
    const nowMs = this.clock.now();
    const key = versionKey(criteria);
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const one of this.#endpoints) {
      if (!isConfiguredFor(one.endpoint.config, criteria)) continue;
      soonestMs = Math.min(soonestMs, Math.max(one.heldForMs(key, nowMs), one.outForMs(key, nowMs)));
    }
    return soonestMs === Number.POSITIVE_INFINITY ? 0 : soonestMs;
  }

  /** At most half of the pool may be ejected; for a model, half of the endpoints that serve it. */
  #mayEject(one: PooledEndpoint, key?: string): boolean {
    const all = this.#endpoints.filter(
      ({ endpoint }) => key === undefined || servesModel(endpoint.config, modelOfKey(key)),
    );
    const stateOf = (other: PooledEndpoint) => (key === undefined ? other.health.state : other.stateFor(key));
    const others = all.filter((other) => other !== one && stateOf(other) === 'ejected').length;
    return others + 1 <= Math.floor(all.length / 2);
  }

  #report({ endpoint }: PooledEndpoint, change: EndpointHealthChange | undefined): void {
    if (change !== undefined) this.#onChange?.({ endpoint: endpoint.config.name, ...change });
  }

  #bookOf(key: string): ModelBook {
    const known = this.#books.get(key);
    if (known !== undefined) return known;
    const book = new ModelBook(this.clock);
    this.#books.set(key, book, 1);
    return book;
  }
}
