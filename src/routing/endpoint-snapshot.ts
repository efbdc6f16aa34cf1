/** What an operator is shown about the pool (`GET /admin/pool`). */
import type { EndpointState } from './endpoint-health.ts';
import type { StandingSnapshot } from './model-standings.ts';

export interface EndpointSnapshot {
  readonly name: string;
  readonly protocol: 'oip' | 'openai';
  readonly region?: string;
  readonly jurisdiction?: string;
  readonly weight: number;
  readonly state: EndpointState;
  readonly inFlight: number;
  /** Attempts begun at this endpoint. */
  readonly requests: number;
  readonly failures: number;
  /** Attempts that failed because of their model or request; they say nothing about the endpoint. */
  readonly modelFailures: number;
  /** Attempts without an answer that the caller may have caused. */
  readonly unclear: number;
  /** Attempts that were late when another attempt answered or the deadline passed. */
  readonly overtaken: number;
  readonly busy: number;
  /** Number of ejections, including failed probes and ejections that made it suspect. */
  readonly ejections: number;
  /** Time until it is probed; 0 if it is healthy or a probe is due. */
  readonly outForMs: number;
  /** Time until it accepts requests again, as it said itself. */
  readonly heldForMs: number;
  /** Peak EWMA; 0 if nothing is known, or the endpoint was not used for long. */
  readonly latencyMs: number;
  /** Quantiles of its last 128 answers. */
  readonly p50Ms?: number;
  readonly p95Ms?: number;
  /** The last reported utilisation, if it is at most 10 s old. */
  readonly utilisation?: number;
  /** Models that keep failing here and are kept out of this endpoint. */
  readonly keptOut: readonly StandingSnapshot[];
}

export interface BudgetsSnapshot {
  /** Requests, retries and hedges within the window. */
  readonly requests: number;
  readonly retries: number;
  readonly hedges: number;
  readonly windowMs: number;
  readonly retryLimit: number;
  readonly hedgeLimit: number;
}
