/**
 * The endpoints of the origin pool as this isolate knows them: who takes the next request, and what its end teaches.
 * State is plain data; a request that dies in the middle leaves nothing that is not taken back in time.
 */
import type { Clock } from '../async/clock.ts';
import { Lru } from '../async/lru.ts';
import { Budget, budgetWindowMs, SlidingCount } from './budget.ts';
import { type EndpointConfig, servesModel } from './endpoint-config.ts';
import type { EndpointState } from './endpoint-health.ts';
import { LatencyWindow } from './latency-window.ts';
import { type HoldReason, type PickTerms, pick } from './picker.ts';
import { type EndpointSnapshot, type Lease, type LeaseEnd, PooledEndpoint } from './pooled-endpoint.ts';
import type { Endpoint } from './types.ts';

export type { EndpointSnapshot, Lease } from './pooled-endpoint.ts';

export interface EndpointChange {
  /** Its configured name. */
  readonly endpoint: string;
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
  /** Told when an endpoint is put out, and when it comes back. */
  readonly onChange?: ((change: EndpointChange) => void) | undefined;
}

/** Which endpoints can have a request. */
export interface EndpointWanted {
  /** Our name of the model. */
  readonly model: string;
  readonly protocol: EndpointConfig['protocol'];
  /** Only endpoints under this one. */
  readonly jurisdiction?: string | undefined;
}

export interface LeaseRequest extends EndpointWanted, Pick<PickTerms, 'purpose' | 'metBusy'> {
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

/** Models whose latencies are known; beyond, the one that was asked least recently is forgotten. */
const maxModels = 256;
const minLatencies = 20;
const minHedgeDelayMs = 1;
/** When an attempt counts as late where nothing is known of its model. */
const lateAfterMs = 5000;

export class EndpointPool {
  readonly clock: Clock;
  /** Requests that are sent to a second endpoint because the first failed. */
  readonly retries: Budget;
  /** Requests that are sent to a second endpoint because the first is late. */
  readonly hedges: Budget;
  readonly #endpoints: readonly PooledEndpoint[];
  readonly #random: () => number;
  readonly #hedging: boolean;
  readonly #onChange: ((change: EndpointChange) => void) | undefined;
  readonly #requests = new SlidingCount();
  readonly #latencies = new Lru<string, LatencyWindow>({ maxBytes: maxModels });

  constructor({ endpoints, clock, random, hedging, onChange }: EndpointPoolOptions) {
    this.clock = clock;
    this.retries = new Budget({ clock, requests: this.#requests, percent: 20, floor: 3 });
    this.hedges = new Budget({ clock, requests: this.#requests, percent: 2, floor: 0 });
    this.#endpoints = endpoints.map((endpoint) => new PooledEndpoint(endpoint));
    this.#random = random ?? Math.random;
    this.#hedging = hedging ?? true;
    this.#onChange = onChange;
  }

  /**
   * What the pool has for a request, as far as it knows; asks nobody. `able`: an endpoint that is well and takes requests,
   * or one that is to be probed. `failing`: only others. `none`: none is configured for it.
   */
  ability(wanted: EndpointWanted): 'able' | 'failing' | 'none' {
    const nowMs = this.clock.now();
    const matching = this.#endpoints.filter(({ endpoint }) => isConfiguredFor(endpoint.config, wanted));
    for (const one of matching) one.takeBack(nowMs);
    if (matching.length === 0) return 'none';
    const able = matching.some(
      (one) =>
        (one.state === 'healthy' || one.isProbeDue(nowMs, 0)) &&
        one.heldFor(wanted.model, nowMs) === undefined,
    );
    return able ? 'able' : 'failing';
  }

  /** Takes in what another says of the endpoint `name`, where nothing is known of it yet. */
  hint(name: string, state: 'suspect'): void {
    const one = this.#endpoints.find(({ endpoint }) => endpoint.config.name === name);
    const change = one?.health[state](this.clock.now());
    if (change !== undefined) this.#onChange?.({ endpoint: name, ...change });
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
  arrive(): void {
    this.#requests.add(this.clock.now());
  }

  /** Chooses an endpoint and begins an attempt there, to be ended with `end`; undefined where none can take it. */
  begin({ tried, replayable, purpose, metBusy, ...wanted }: LeaseRequest): Lease | undefined {
    const nowMs = this.clock.now();
    const candidates: PooledEndpoint[] = [];
    for (const one of this.#endpoints) {
      const { endpoint } = one;
      if (tried.includes(endpoint) || !isConfiguredFor(endpoint.config, wanted)) continue;
      one.takeBack(nowMs);
      candidates.push(one);
    }
    const mayProbe = () => replayable && this.retries.hasRoom;
    const { model } = wanted;
    const random = this.#random;
    return pick(candidates, { model, nowMs, random, purpose, metBusy, mayProbe })?.begin(model, nowMs);
  }

  /** Idempotent. */
  end(lease: Lease, end: LeaseEnd): void {
    const one = this.#endpoints.find(({ endpoint }) => endpoint === lease.endpoint);
    if (one === undefined) return;
    const nowMs = this.clock.now();
    if (end.answered === true) this.#learn(lease.model, nowMs - lease.beganMs);
    const change = one.end(lease, end, nowMs, () => this.#mayEject(one));
    if (change !== undefined) this.#onChange?.({ endpoint: lease.endpoint.config.name, ...change });
  }

  /** After how many milliseconds without an answer a request is late enough to be sent again; undefined: it is not. */
  hedgeDelayMs(model: string): number | undefined {
    return this.#hedging ? this.#p95Ms(model) : undefined;
  }

  /** Whether the attempt takes longer than its model's do as a rule. */
  isLate({ model, beganMs }: Lease): boolean {
    return this.clock.now() - beganMs >= (this.#p95Ms(model) ?? lateAfterMs);
  }

  /** Why endpoints that were not tried cannot have the request. */
  passedOver(
    wanted: EndpointWanted,
    tried: readonly Endpoint[],
  ): readonly { readonly endpoint: string; readonly outcome: HoldReason }[] {
    const nowMs = this.clock.now();
    return this.#endpoints.flatMap((one) => {
      const { endpoint } = one;
      if (tried.includes(endpoint) || !isConfiguredFor(endpoint.config, wanted)) return [];
      const outcome = one.heldFor(wanted.model, nowMs);
      return outcome === undefined ? [] : [{ endpoint: endpoint.config.name, outcome }];
    });
  }

  /** Milliseconds until some endpoint may take the request, 0 where one may now. */
  freeInMs(wanted: EndpointWanted): number {
    const nowMs = this.clock.now();
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const one of this.#endpoints) {
      if (!isConfiguredFor(one.endpoint.config, wanted)) continue;
      soonestMs = Math.min(
        soonestMs,
        Math.max(one.heldForMs(wanted.model, nowMs), one.health.outForMs(nowMs)),
      );
    }
    return soonestMs === Number.POSITIVE_INFINITY ? 0 : soonestMs;
  }

  /** Never more than half of the pool. */
  #mayEject(one: PooledEndpoint): boolean {
    const others = this.#endpoints.filter((other) => other !== one && other.state === 'ejected').length;
    return others + 1 <= Math.floor(this.#endpoints.length / 2);
  }

  #learn(model: string, latencyMs: number): void {
    let latencies = this.#latencies.get(model);
    if (latencies === undefined) {
      latencies = new LatencyWindow();
      this.#latencies.set(model, latencies, 1);
    }
    latencies.add(latencyMs);
  }

  #p95Ms(model: string): number | undefined {
    const latencies = this.#latencies.peek(model);
    if (latencies === undefined || latencies.size < minLatencies) return undefined;
    return Math.max(minHedgeDelayMs, latencies.quantile(0.95) ?? 0);
  }
}

function isConfiguredFor(config: EndpointConfig, { model, protocol, jurisdiction }: EndpointWanted): boolean {
  return (
    config.protocol === protocol &&
    (jurisdiction === undefined || config.jurisdiction === jurisdiction) &&
    servesModel(config, model)
  );
}
