/** What this isolate knows of one endpoint of the pool. Plain data: nothing here belongs to a request, or waits. */
import { Doubt } from './doubt.ts';
import {
  EndpointHealth,
  type EndpointState,
  type HealthChange,
  type HealthTicket,
} from './endpoint-health.ts';
import { Holds } from './holds.ts';
import { LatencyWindow } from './latency-window.ts';
import { ModelStandings, type StandingSnapshot } from './model-standings.ts';
import { PeakEwma } from './peak-ewma.ts';
import type { Candidate, HoldReason } from './picker.ts';
import type { AttemptOutcome, Endpoint, LeaseEnd } from './types.ts';

/** One attempt at the endpoint, in flight until it ends. */
export interface AttemptLease {
  readonly endpoint: Endpoint;
  readonly model: string;
  /** What the endpoint holds against the model is held against this version alone. */
  readonly key: string;
  readonly beganMs: number;
  readonly ticket: HealthTicket;
  /** The model's own at this endpoint; undefined while it has not failed here. */
  readonly modelTicket: HealthTicket | undefined;
}

/** A change of the endpoint's state, or of one model's at it. */
export interface EndpointHealthChange extends HealthChange {
  readonly model?: string;
}

/** What a probe that depends on no model found. */
export type ProbeFinding =
  | { readonly isReady: true }
  | { readonly isReady: false /** For the log. */; readonly reason: string };

/** What may be ejected: the endpoint, or a model at it. Asked only when it matters. */
export type MayEject = (model?: string) => boolean;

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
  /** Attempts that failed for their model or their request; they say nothing of the endpoint. */
  readonly modelFailures: number;
  /** Attempts without an answer, where the caller may be the reason. */
  readonly unclear: number;
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
  /** Models that keep failing here and are kept from this endpoint. */
  readonly keptOut: readonly StandingSnapshot[];
}

/** What is not heard of for so long after it must have ended is not in flight any more. */
const leaseSlackMs = 5000;
const reportMaxAgeMs = 10_000;
const minHeadroom = 0.1;

export class PooledEndpoint implements Candidate {
  readonly endpoint: Endpoint;
  readonly health = new EndpointHealth();
  readonly #standings = new ModelStandings();
  readonly #doubt = new Doubt();
  readonly #latency = new PeakEwma();
  readonly #latencies = new LatencyWindow();
  /** The oldest first. */
  readonly #leases = new Set<AttemptLease>();
  readonly #holds = new Holds();
  #report: { readonly utilisation: number; readonly atMs: number } | undefined;
  #requests = 0;
  #failures = 0;
  #modelFailures = 0;
  #unclear = 0;
  #overtaken = 0;
  #busy = 0;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }

  get inFlight(): number {
    return this.#leases.size;
  }

  /** The worse of the endpoint's state and of the model's at it. */
  stateFor(key: string): EndpointState {
    const ofModel = this.#standings.of(key)?.state ?? 'healthy';
    const { state } = this.health;
    return state === 'healthy' || ofModel === 'ejected' ? ofModel : state;
  }

  /** Whether a request of the model would be a probe: of the endpoint, of the model at it, or of both. */
  isProbeDue(key: string, nowMs: number, overdueMs: number): boolean {
    const standing = this.#standings.of(key);
    const isModelOut = standing !== undefined && standing.state !== 'healthy';
    // A model that fails here anyway would show nothing of the endpoint.
    if (isModelOut && !standing.isProbeDue(nowMs, overdueMs)) return false;
    return this.health.state === 'healthy' ? isModelOut : this.health.isProbeDue(nowMs, overdueMs);
  }

  /** Milliseconds until a request of the model may be a probe; 0 when it is in, or due. */
  outForMs(key: string, nowMs: number): number {
    return Math.max(this.health.outForMs(nowMs), this.#standings.of(key)?.outForMs(nowMs) ?? 0);
  }

  /** Whether the model fails here, or did a moment ago. */
  isFailingFor(key: string, nowMs: number): boolean {
    const standing = this.#standings.of(key);
    return standing !== undefined && (standing.state !== 'healthy' || standing.recentFailures(nowMs) > 0);
  }

  heldFor(key: string, nowMs: number): HoldReason | undefined {
    return this.#holds.of(key, nowMs)?.why;
  }

  /** Milliseconds until it may be asked for the model again, as far as it said so itself. */
  heldForMs(key: string, nowMs: number): number {
    return this.#holds.leftMs(key, nowMs);
  }

  /**
   * An endpoint that fails at once has nothing in flight and would be chosen again and again until it is ejected, which
   * at a few requests a second costs more retries than there are: each failure in a row counts as a share of its room.
   */
  load(key: string, nowMs: number): number {
    const headroom = Math.max(minHeadroom, 1 - Math.max(0, this.#utilisation(nowMs) ?? 0));
    const ofModel = this.#standings.of(key)?.recentFailures(nowMs) ?? 0;
    const trust = 1 + this.health.recentFailures(nowMs) + ofModel;
    return ((this.#leases.size + 1) * trust) / (this.endpoint.config.weight * headroom);
  }

  latencyMs(nowMs: number): number {
    return this.#latency.at(nowMs);
  }

  begin(model: string, key: string, nowMs: number): AttemptLease {
    const lease = {
      endpoint: this.endpoint,
      model,
      key,
      beganMs: nowMs,
      ticket: this.health.begin(nowMs),
      modelTicket: this.#standings.begin(key, nowMs),
    };
    this.#leases.add(lease);
    this.#requests += 1;
    return lease;
  }

  /**
   * Idempotent.
   *
   * @returns the changes of state that it led to.
   */
  end(
    lease: AttemptLease,
    end: LeaseEnd,
    nowMs: number,
    mayEject: MayEject,
  ): readonly EndpointHealthChange[] {
    if (!this.#leases.delete(lease)) return [];
    const { key } = lease;
    const { outcome, load } = end;
    this.#count(outcome);
    this.#time(end, nowMs - lease.beganMs, nowMs);
    if (load !== undefined) this.#report = { utilisation: load.utilisation, atMs: nowMs };
    this.#holds.add(key, end, nowMs);
    const ofEndpoint = this.#endForEndpoint(lease, end, nowMs, mayEject);
    const ofModel = this.#standings.end(key, lease.modelTicket, {
      ...end,
      nowMs,
      mayEject: () => mayEject(key),
    });
    return [
      ...(ofEndpoint === undefined ? [] : [ofEndpoint]),
      ...(ofModel === undefined ? [] : [{ ...ofModel, model: key }]),
    ];
  }

  #endForEndpoint(
    lease: AttemptLease,
    { outcome, reason }: LeaseEnd,
    nowMs: number,
    mayEject: MayEject,
  ): HealthChange | undefined {
    const isDoubt = outcome === 'model-failure' || outcome === 'unclear';
    if (outcome === 'success') this.#doubt.clear();
    else if (isDoubt) this.#doubt.add(outcome === 'model-failure' ? lease.model : undefined);
    const change = this.health.end(lease.ticket, {
      outcome: isDoubt ? 'abandoned' : outcome,
      nowMs,
      reason,
      mayEject: () => mayEject(),
    });
    if (change !== undefined || !isDoubt || !this.#doubt.failsEveryModel) return change;
    this.#doubt.clear();
    // Only suspect: a caller may bring this about, with several models of which none is asked for by others.
    return this.health.putOut(
      { nowMs, reason, mayEject: () => false },
      'several models failed, none succeeded',
    );
  }

  /** Whether a probe that depends on no model is to be made now; counts on it that it is. */
  takeProbe(nowMs: number): boolean {
    return this.#doubt.takeProbe(nowMs);
  }

  /** Takes in what such a probe found. @returns the change of state that it led to. */
  probed(found: ProbeFinding, nowMs: number, mayEject: MayEject): HealthChange | undefined {
    this.#doubt.clear();
    return found.isReady
      ? this.health.letIn(nowMs)
      : this.health.putOut({ nowMs, reason: found.reason, mayEject: () => mayEject() }, 'it is not ready');
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
      modelFailures: this.#modelFailures,
      unclear: this.#unclear,
      overtaken: this.#overtaken,
      busy: this.#busy,
      ejections: this.health.ejections,
      outForMs: this.health.outForMs(nowMs),
      heldForMs: this.#holds.leftMs(undefined, nowMs),
      latencyMs: this.#latency.at(nowMs),
      ...(p50Ms === undefined ? undefined : { p50Ms }),
      ...(p95Ms === undefined ? undefined : { p95Ms }),
      ...(utilisation === undefined ? undefined : { utilisation }),
      keptOut: this.#standings.snapshot(nowMs),
    };
  }

  #count(outcome: AttemptOutcome): void {
    if (outcome === 'failure') this.#failures += 1;
    else if (outcome === 'model-failure') this.#modelFailures += 1;
    else if (outcome === 'unclear') this.#unclear += 1;
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

  #utilisation(nowMs: number): number | undefined {
    return this.#report !== undefined && nowMs - this.#report.atMs < reportMaxAgeMs
      ? this.#report.utilisation
      : undefined;
  }
}
