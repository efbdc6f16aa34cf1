/**
 * The endpoints of the origin pool as this isolate knows them: who takes the next request, and what its end teaches.
 * State is plain data; a request that dies in the middle leaves nothing that is not taken back in time.
 */
import type { Clock } from '../async/clock.ts';
import { Lru } from '../async/lru.ts';
import { Budget, budgetWindowMs, SlidingCount } from './budget.ts';
import { type EndpointConfig, servesModel } from './endpoint-config.ts';
import type { EndpointState } from './endpoint-health.ts';
import { ModelBook } from './model-book.ts';
import { type HoldReason, type PickTerms, pick } from './picker.ts';
import {
  type AttemptLease,
  type EndpointHealthChange,
  type EndpointSnapshot,
  PooledEndpoint,
  type ProbeFinding,
} from './pooled-endpoint.ts';
import type { AttemptOutcome, Endpoint, LeaseEnd } from './types.ts';

export type { AttemptLease, EndpointSnapshot } from './pooled-endpoint.ts';

export interface EndpointChange {
  /** Its configured name. */
  readonly endpoint: string;
  /** The model, with its version where it is known, of which alone the change is; absent: of the endpoint. */
  readonly model?: string;
  readonly state: EndpointState;
  /** For the log. */
  readonly reason: string;
}

export interface EndpointPoolOptions {
  readonly endpoints: readonly Endpoint[];
  readonly clock: Clock;
  /** 0 to 1, 1 excluded. Default `Math.random`. */
  readonly random?: () => number;
  /** Whether slow requests are sent a second time. Default true. */
  readonly hedging?: boolean | undefined;
  /** Told when an endpoint, or a model at it, is put out, and when it comes back. */
  readonly onChange?: ((change: EndpointChange) => void) | undefined;
  /** Probes an endpoint that is in doubt, apart from any request; what it finds is told to `probed`. Absent: nothing does. */
  readonly probe?: ((endpoint: Endpoint) => void) | undefined;
}

/** Which endpoints can have a request. */
export interface EndpointCriteria {
  /** Our name of the model. */
  readonly model: string;
  /** Absent: what an endpoint does with the model is counted for all versions together. */
  readonly version?: string | undefined;
  readonly protocol: EndpointConfig['protocol'];
  /** Only endpoints under this one. */
  readonly jurisdiction?: string | undefined;
}

export interface AttemptRequest extends EndpointCriteria, Pick<PickTerms, 'purpose' | 'metBusy'> {
  readonly tried: readonly Endpoint[];
  readonly replayable: boolean;
}

export interface BudgetsSnapshot {
  /** Of the last 10 s, as are the others. */
  readonly requests: number;
  readonly retries: number;
  readonly hedges: number;
  readonly windowMs: number;
  readonly retryLimit: number;
  readonly hedgeLimit: number;
}

/** Models of which the pool keeps a book; beyond, the one that was asked for least recently is forgotten. */
const maxModels = 256;
/** When an attempt counts as late where nothing is known of its model. */
const lateAfterMs = 5000;

export class EndpointPool {
  readonly clock: Clock;
  /** Requests that are sent to a second endpoint because the first failed, was busy or lacked the model. */
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
   * What the pool has for a request, as far as it knows; asks nobody. `able`: an endpoint that is well and takes requests,
   * or one that is to be probed. `failing`: only others. `none`: none is configured for it.
   */
  ability(wanted: EndpointCriteria): 'able' | 'failing' | 'none' {
    const nowMs = this.clock.now();
    const matching = this.#endpoints.filter(({ endpoint }) => isConfiguredFor(endpoint.config, wanted));
    for (const one of matching) one.takeBack(nowMs);
    if (matching.length === 0) return 'none';
    const key = keyOf(wanted);
    const able = matching.some(
      (one) =>
        (one.stateFor(key) === 'healthy' || one.isProbeDue(key, nowMs, 0)) &&
        one.heldFor(key, nowMs) === undefined,
    );
    return able ? 'able' : 'failing';
  }

  /** Takes in what another says of the endpoint `name`, where nothing is known of it yet. */
  hint(name: string, state: 'suspect'): void {
    const one = this.#endpoints.find(({ endpoint }) => endpoint.config.name === name);
    if (one !== undefined) this.#report(one, one.health[state](this.clock.now()));
  }

  /** Takes in what a probe of the endpoint found that depends on no model. */
  probed(endpoint: Endpoint, found: ProbeFinding): void {
    const one = this.#endpoints.find((other) => other.endpoint === endpoint);
    if (one !== undefined)
      this.#report(
        one,
        one.probed(found, this.clock.now(), () => this.#mayEject(one)),
      );
  }

  snapshot(): readonly EndpointSnapshot[] {
    const nowMs = this.clock.now();
    return this.#endpoints.map((one) => {
      one.takeBack(nowMs);
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

  /** Counts a request, of which the budgets are shares. */
  arrive(wanted: Pick<EndpointCriteria, 'model' | 'version'>): void {
    const nowMs = this.clock.now();
    this.#requests.add(nowMs);
    this.#bookOf(keyOf(wanted)).requests.add(nowMs);
  }

  /**
   * What pays for a second attempt after one that ended so. A model, or a request, that fails is paid for by its own
   * model, so that it leaves the others' retries alone.
   */
  retriesAfter(outcome: AttemptOutcome, wanted: Pick<EndpointCriteria, 'model' | 'version'>): Budget {
    return outcome === 'model-failure' || outcome === 'unclear'
      ? this.#bookOf(keyOf(wanted)).retries
      : this.retries;
  }

  /** Chooses an endpoint and begins an attempt there, to be ended with `end`; undefined where none can take it. */
  begin({ tried, replayable, purpose, metBusy, ...wanted }: AttemptRequest): AttemptLease | undefined {
    const nowMs = this.clock.now();
    const candidates: PooledEndpoint[] = [];
    for (const one of this.#endpoints) {
      const { endpoint } = one;
      if (tried.includes(endpoint) || !isConfiguredFor(endpoint.config, wanted)) continue;
      one.takeBack(nowMs);
      candidates.push(one);
    }
    const mayProbe = () => replayable && this.retries.hasRoom;
    const key = keyOf(wanted);
    const random = this.#random;
    const picked = pick(candidates, { model: key, nowMs, random, purpose, metBusy, mayProbe });
    return picked?.begin(wanted.model, key, nowMs);
  }

  /** Idempotent. */
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
   * After how many milliseconds without an answer a request is late enough to be sent again; undefined: it is not. A model
   * that fails is not asked for twice: it would spend what others have for hedges.
   */
  hedgeDelayMs(wanted: Pick<EndpointCriteria, 'model' | 'version'>): number | undefined {
    if (!this.#hedging) return undefined;
    const key = keyOf(wanted);
    const delayMs = this.#books.peek(key)?.p95Ms;
    const nowMs = this.clock.now();
    return delayMs === undefined || this.#endpoints.some((one) => one.isFailingFor(key, nowMs))
      ? undefined
      : delayMs;
  }

  /** Whether the attempt takes longer than its model's do as a rule. */
  isLate({ key, beganMs }: AttemptLease): boolean {
    return this.clock.now() - beganMs >= (this.#books.peek(key)?.p95Ms ?? lateAfterMs);
  }

  /** Why endpoints that were not tried cannot have the request. */
  passedOver(
    wanted: EndpointCriteria,
    tried: readonly Endpoint[],
  ): readonly { readonly endpoint: string; readonly outcome: HoldReason }[] {
    const nowMs = this.clock.now();
    return this.#endpoints.flatMap((one) => {
      const { endpoint } = one;
      if (tried.includes(endpoint) || !isConfiguredFor(endpoint.config, wanted)) return [];
      const outcome = one.heldFor(keyOf(wanted), nowMs);
      return outcome === undefined ? [] : [{ endpoint: endpoint.config.name, outcome }];
    });
  }

  /** Milliseconds until some endpoint may take the request, 0 where one may now. */
  freeInMs(wanted: EndpointCriteria): number {
    const nowMs = this.clock.now();
    const key = keyOf(wanted);
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const one of this.#endpoints) {
      if (!isConfiguredFor(one.endpoint.config, wanted)) continue;
      soonestMs = Math.min(soonestMs, Math.max(one.heldForMs(key, nowMs), one.outForMs(key, nowMs)));
    }
    return soonestMs === Number.POSITIVE_INFINITY ? 0 : soonestMs;
  }

  /** Never more than half of the pool; of the endpoints where a model is, for that model. */
  #mayEject(one: PooledEndpoint, key?: string): boolean {
    const all = this.#endpoints.filter(
      ({ endpoint }) => key === undefined || servesModel(endpoint.config, nameOf(key)),
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

/** Names and versions have no `@`. */
function keyOf({ model, version }: Pick<EndpointCriteria, 'model' | 'version'>): string {
  return version === undefined ? model : `${model}@${version}`;
}

function nameOf(key: string): string {
  const at = key.lastIndexOf('@');
  return at < 0 ? key : key.slice(0, at);
}

function isConfiguredFor(
  config: EndpointConfig,
  { model, protocol, jurisdiction }: EndpointCriteria,
): boolean {
  return (
    config.protocol === protocol &&
    (jurisdiction === undefined || config.jurisdiction === jurisdiction) &&
    servesModel(config, model)
  );
}
