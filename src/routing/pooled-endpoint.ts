/** What this isolate knows about one endpoint of the pool. Plain data: no request owns it, and nothing in it waits. */
import { Doubt } from './doubt.ts';
import {
  EndpointHealth,
  type EndpointState,
  type HealthChange,
  type HealthTicket,
} from './endpoint-health.ts';
import type { EndpointSnapshot } from './endpoint-snapshot.ts';
import { Holds } from './holds.ts';
import { LatencyWindow } from './latency-window.ts';
import { ModelStandings } from './model-standings.ts';
import { PeakEwma } from './peak-ewma.ts';
import type { Candidate, HoldReason } from './picker.ts';
import type { AttemptOutcome, Endpoint, LeaseEnd } from './types.ts';

/** One attempt at the endpoint, in flight until it ends. */
export interface AttemptLease {
  readonly endpoint: Endpoint;
  readonly model: string;
  /** `name@version`, or `name`: failures are counted per version. */
  readonly key: string;
  readonly beganMs: number;
  readonly ticket: HealthTicket;
  /** Ticket of the model at this endpoint; undefined if the model has not failed here. */
  readonly modelTicket: HealthTicket | undefined;
}

/** A change of the endpoint's state, or of one model's at it. */
export interface EndpointHealthChange extends HealthChange {
  readonly model?: string;
}

/** The result of a readiness probe, which depends on no model. */
export type ProbeFinding =
  | { readonly isReady: true }
  | { readonly isReady: false /** For the log. */; readonly reason: string };

/** Whether the endpoint, or `model` at it, may be ejected. Called only when an ejection depends on it. */
export type MayEject = (model?: string) => boolean;

/** An attempt that has not ended so long after its timeout counts as no longer in flight. */
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
  /** Attempts in flight, the oldest first. */
  readonly #leases = new Set<AttemptLease>();
  readonly #holds = new Holds();
  #report: { readonly utilisation: number; readonly atMs: number } | undefined;
  #requests = 0;
  readonly #ended: Record<AttemptOutcome, number> = {
    success: 0,
    failure: 0,
    'model-failure': 0,
    unclear: 0,
    busy: 0,
    'lacks-model': 0,
    overtaken: 0,
    abandoned: 0,
  };

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }

  get inFlight(): number {
    return this.#leases.size;
  }

  /** Returns the worse of the endpoint's state and the model's state at the endpoint. */
  stateFor(key: string): EndpointState {
    const ofModel = this.#standings.of(key)?.state ?? 'healthy';
    const { state } = this.health;
    return state === 'healthy' || ofModel === 'ejected' ? ofModel : state;
  }

  /**
   * Whether a request for the model would be a probe: of the endpoint, of the model at it, or of both. False if either is
   * out and its time out did not end at least `overdueMs` ago, or a request is probing it already.
   */
  isProbeDue(key: string, nowMs: number, overdueMs: number): boolean {
    const standing = this.#standings.of(key);
    const isModelOut = standing !== undefined && standing.state !== 'healthy';
    // A model that fails here anyway would show nothing about the endpoint.
    if (isModelOut && !standing.isProbeDue(nowMs, overdueMs)) return false;
    return this.health.state === 'healthy' ? isModelOut : this.health.isProbeDue(nowMs, overdueMs);
  }

  /** Returns the milliseconds until a request for the model may be a probe; 0 if it is healthy or a probe is due. */
  outForMs(key: string, nowMs: number): number {
    return Math.max(this.health.outForMs(nowMs), this.#standings.of(key)?.outForMs(nowMs) ?? 0);
  }

  /** Whether the model is ejected or suspect at this endpoint, or failed here recently. Other models do not count. */
  isFailingFor(key: string, nowMs: number): boolean {
    const standing = this.#standings.of(key);
    return standing !== undefined && (standing.state !== 'healthy' || standing.recentFailures(nowMs) > 0);
  }

  /** Returns why the endpoint is not asked for the model now; undefined if it may be. */
  heldFor(key: string, nowMs: number): HoldReason | undefined {
    return this.#holds.of(key, nowMs)?.why;
  }

  /** Returns the milliseconds until `heldFor` ends; 0 if the endpoint may be asked for the model. */
  heldForMs(key: string, nowMs: number): number {
    return this.#holds.leftMs(key, nowMs);
  }

  /**
   * Returns the requests in flight, and the one to come, relative to the free capacity: the endpoint's weight times the share
   * that it does not report as used. An endpoint that fails at once has nothing in flight and would be chosen again and again
   * until it is ejected, which at a few requests a second exceeds the retry budget: so the load is multiplied by 1 plus the
   * recent failures in a row, those of the endpoint and those of the model at it.
   */
  load(key: string, nowMs: number): number {
    const headroom = Math.max(minHeadroom, 1 - Math.max(0, this.#utilisation(nowMs) ?? 0));
    const ofModel = this.#standings.of(key)?.recentFailures(nowMs) ?? 0;
    const trust = 1 + this.health.recentFailures(nowMs) + ofModel;
    return ((this.#leases.size + 1) * trust) / (this.endpoint.config.weight * headroom);
  }

  /** Returns the moving average of `PeakEwma`; 0 if nothing is known. */
  latencyMs(nowMs: number): number {
    return this.#latency.at(nowMs);
  }

  /** Starts an attempt. It is the probe if the endpoint, or the model at it, is due for one. */
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
   * Records the end of an attempt. Idempotent.
   *
   * @returns the changes of state that it caused.
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
    this.#ended[outcome] += 1;
    this.#recordLatency(end, nowMs - lease.beganMs, nowMs);
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
    // Only suspect: a caller could cause this with several models that no other caller uses.
    return this.health.eject(
      { nowMs, reason, mayEject: () => false },
      'several models failed, none succeeded',
    );
  }

  /** Whether the endpoint must be probed now. The caller must start the probe if true. */
  takeProbe(nowMs: number): boolean {
    return this.#doubt.takeProbe(nowMs);
  }

  /** Applies the result of a readiness probe. @returns the change of state that it caused. */
  applyProbe(result: ProbeFinding, nowMs: number, mayEject: MayEject): HealthChange | undefined {
    this.#doubt.clear();
    return result.isReady
      ? this.health.readmit(nowMs)
      : this.health.eject({ nowMs, reason: result.reason, mayEject: () => mayEject() }, 'it is not ready');
  }

  /**
   * Ends as abandoned the attempts that will never end by themselves: on Cloudflare a cancelled request does not continue. All
   * attempts have the same timeout, so the oldest expire first.
   */
  endExpired(nowMs: number): void {
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
      failures: this.#ended.failure,
      modelFailures: this.#ended['model-failure'],
      unclear: this.#ended.unclear,
      overtaken: this.#ended.overtaken,
      busy: this.#ended.busy,
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

  #recordLatency({ outcome, answered }: LeaseEnd, elapsedMs: number, nowMs: number): void {
    if (answered === true) {
      this.#latency.observe(elapsedMs, nowMs);
      this.#latencies.add(elapsedMs);
    } else if (outcome === 'failure' || outcome === 'overtaken' || outcome === 'abandoned') {
      // It would have taken longer: the time so far is a lower bound.
      this.#latency.observeAtLeast(elapsedMs, nowMs);
    }
  }

  #utilisation(nowMs: number): number | undefined {
    return this.#report !== undefined && nowMs - this.#report.atMs < reportMaxAgeMs
      ? this.#report.utilisation
      : undefined;
  }
}
