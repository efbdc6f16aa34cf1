/** What this isolate knows of one endpoint of the pool. Plain data: nothing here belongs to a request, or waits. */
import {
  EndpointHealth,
  type EndpointState,
  type HealthChange,
  type HealthTicket,
} from './endpoint-health.ts';
import { LatencyWindow } from './latency-window.ts';
import { PeakEwma } from './peak-ewma.ts';
import type { Candidate, HoldReason } from './picker.ts';
import type { AttemptOutcome, Endpoint, LoadReport } from './types.ts';

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

/** One attempt at the endpoint, in flight until it ends. */
export interface Lease {
  readonly endpoint: Endpoint;
  readonly model: string;
  readonly beganMs: number;
  readonly ticket: HealthTicket;
}

export interface EndpointSnapshot {
  readonly name: string;
  readonly protocol: 'oip' | 'openai';
  readonly region?: string;
  readonly jurisdiction?: string;
  readonly weight: number;
  readonly state: EndpointState;
  readonly inFlight: number;
  /** Attempts that were begun here. */
  readonly requests: number;
  readonly failures: number;
  /** Attempts that another one, or the deadline, overtook. */
  readonly overtaken: number;
  readonly busy: number;
  /** How often it was put out. */
  readonly ejections: number;
  /** Until it is probed; 0 when healthy or due. */
  readonly outForMs: number;
  /** Until it may be asked again, as it said itself. */
  readonly heldForMs: number;
  /** Peak EWMA; 0 where nothing is known, or was used for long. */
  readonly latencyMs: number;
  /** Of its last 128 answers. */
  readonly p50Ms?: number;
  readonly p95Ms?: number;
  /** As it reported last, in the last 10 s. */
  readonly utilisation?: number;
}

/** What is not heard of for so long after it must have ended is not in flight any more. */
const leaseSlackMs = 5000;
const maxHoldMs = 5000;
/**
 * Of one that is busy and does not say for how long. What refuses at once has the least to do, and would be asked first
 * by every request.
 */
const busyHoldMs = 250;
const lacksModelForMs = 60_000;
/** Models come from the repository, so this many are rare. */
const maxModelHolds = 256;
const reportMaxAgeMs = 10_000;
const minHeadroom = 0.1;

interface Hold {
  readonly untilMs: number;
  readonly why: HoldReason;
}

export class PooledEndpoint implements Candidate {
  readonly endpoint: Endpoint;
  readonly health = new EndpointHealth();
  readonly #latency = new PeakEwma();
  readonly #latencies = new LatencyWindow();
  /** The oldest first. */
  readonly #leases = new Set<Lease>();
  /** Of one model each. */
  readonly #modelHolds = new Map<string, Hold>();
  /** Of all models. */
  #hold: Hold | undefined;
  #report: { readonly utilisation: number; readonly atMs: number } | undefined;
  #requests = 0;
  #failures = 0;
  #overtaken = 0;
  #busy = 0;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }

  get state(): EndpointState {
    return this.health.state;
  }

  get inFlight(): number {
    return this.#leases.size;
  }

  isProbeDue(nowMs: number, overdueMs: number): boolean {
    return this.health.isProbeDue(nowMs, overdueMs);
  }

  heldFor(model: string, nowMs: number): HoldReason | undefined {
    return this.#holdOf(model, nowMs)?.why;
  }

  /** Milliseconds until it may be asked for the model again, as far as it said so itself. */
  heldForMs(model: string, nowMs: number): number {
    return leftMs(this.#holdOf(model, nowMs), nowMs);
  }

  /**
   * An endpoint that fails at once has nothing in flight and would be chosen again and again until it is ejected, which
   * at a few requests a second costs more retries than there are: each failure in a row counts as a share of its room.
   */
  load(nowMs: number): number {
    const headroom = Math.max(minHeadroom, 1 - Math.max(0, this.#utilisation(nowMs) ?? 0));
    const trust = 1 + this.health.recentFailures(nowMs);
    return ((this.#leases.size + 1) * trust) / (this.endpoint.config.weight * headroom);
  }

  latencyMs(nowMs: number): number {
    return this.#latency.at(nowMs);
  }

  begin(model: string, nowMs: number): Lease {
    const lease = { endpoint: this.endpoint, model, beganMs: nowMs, ticket: this.health.begin(nowMs) };
    this.#leases.add(lease);
    this.#requests += 1;
    return lease;
  }

  /**
   * Idempotent.
   *
   * @returns the change of state that it led to.
   */
  end(lease: Lease, end: LeaseEnd, nowMs: number, mayEject: () => boolean): HealthChange | undefined {
    if (!this.#leases.delete(lease)) return undefined;
    const { outcome, load, reason } = end;
    this.#count(outcome);
    this.#time(end, nowMs - lease.beganMs, nowMs);
    if (load !== undefined) this.#report = { utilisation: load.utilisation, atMs: nowMs };
    const holdMs = holdMsAfter(end);
    if (holdMs > 0 && (outcome === 'busy' || outcome === 'failure' || outcome === 'lacks-model')) {
      const hold = { untilMs: nowMs + holdMs, why: outcome };
      if (outcome === 'lacks-model' || end.ofModel === true) this.#holdModel(lease.model, hold, nowMs);
      else this.#hold = hold;
    }
    return this.health.end(lease.ticket, { outcome, nowMs, reason, mayEject });
  }

  /**
   * Takes back what will never end: on Cloudflare a request that is cancelled does not go on. All attempts here may take
   * equally long, so the oldest are first.
   */
  takeBack(nowMs: number): void {
    if (this.#leases.size === 0) return;
    const beforeMs = nowMs - this.endpoint.config.timeoutMs - leaseSlackMs;
    for (const lease of this.#leases) {
      if (lease.beganMs > beforeMs) return;
      this.end(lease, { outcome: 'abandoned' }, nowMs, () => false);
    }
  }

  snapshot(nowMs: number): EndpointSnapshot {
    const { name, protocol, region, jurisdiction, weight } = this.endpoint.config;
    const p50Ms = this.#latencies.quantile(0.5);
    const p95Ms = this.#latencies.quantile(0.95);
    const utilisation = this.#utilisation(nowMs);
    return {
      name,
      protocol,
      ...(region === undefined ? undefined : { region }),
      ...(jurisdiction === undefined ? undefined : { jurisdiction }),
      weight,
      state: this.health.state,
      inFlight: this.#leases.size,
      requests: this.#requests,
      failures: this.#failures,
      overtaken: this.#overtaken,
      busy: this.#busy,
      ejections: this.health.ejections,
      outForMs: this.health.outForMs(nowMs),
      heldForMs: leftMs(this.#hold, nowMs),
      latencyMs: this.#latency.at(nowMs),
      ...(p50Ms === undefined ? undefined : { p50Ms }),
      ...(p95Ms === undefined ? undefined : { p95Ms }),
      ...(utilisation === undefined ? undefined : { utilisation }),
    };
  }

  #count(outcome: AttemptOutcome): void {
    if (outcome === 'failure') this.#failures += 1;
    else if (outcome === 'overtaken') this.#overtaken += 1;
    else if (outcome === 'busy') this.#busy += 1;
  }

  #time({ outcome, answered }: LeaseEnd, elapsedMs: number, nowMs: number): void {
    if (answered === true) {
      this.#latency.observe(elapsedMs, nowMs);
      this.#latencies.add(elapsedMs);
    } else if (outcome === 'failure' || outcome === 'overtaken' || outcome === 'abandoned') {
      // It would have taken longer; that it failed soon says nothing.
      this.#latency.observeAtLeast(elapsedMs, nowMs);
    }
  }

  #holdModel(model: string, hold: Hold, nowMs: number): void {
    const holds = this.#modelHolds;
    for (const [name, { untilMs }] of holds) {
      if (untilMs <= nowMs || holds.size >= maxModelHolds) holds.delete(name);
    }
    holds.set(model, hold);
  }

  #holdOf(model: string, nowMs: number): Hold | undefined {
    if (leftMs(this.#hold, nowMs) > 0) return this.#hold;
    const hold = this.#modelHolds.get(model);
    return leftMs(hold, nowMs) > 0 ? hold : undefined;
  }

  #utilisation(nowMs: number): number | undefined {
    return this.#report !== undefined && nowMs - this.#report.atMs < reportMaxAgeMs
      ? this.#report.utilisation
      : undefined;
  }
}

function holdMsAfter({ outcome, retryAfterSeconds }: LeaseEnd): number {
  if (outcome === 'lacks-model') return lacksModelForMs;
  if (retryAfterSeconds !== undefined) return Math.min(maxHoldMs, retryAfterSeconds * 1000);
  return outcome === 'busy' ? busyHoldMs : 0;
}

function leftMs(hold: Hold | undefined, nowMs: number): number {
  return Math.max(0, (hold?.untilMs ?? 0) - nowMs);
}
