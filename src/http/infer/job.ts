import type { Fetches, RunTimings, RuntimeIdentity } from '../../engine/types.ts';
import type { InferRequest } from '../../protocol/oip/types.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import type { OipRequest } from '../../routing/oip-endpoint.ts';
import type { PlacementReason, Tier } from '../../routing/place.ts';
import type { SchedulePolicy } from '../../scheduler/schedule-policy.ts';

/** One inference, read and checked: what every tier needs to answer it. */
export interface Job {
  readonly model: ResolvedModel;
  readonly request: InferRequest;
  /** The body as it came, where it came in binary. */
  readonly original: OipRequest['original'];
  readonly schedule: SchedulePolicy;
  readonly jurisdiction: string | undefined;
  /** What a run at the edge is expected to take. */
  readonly edgeCostMs: number;
  /** By the clock of the services. */
  readonly startedMs: number;
  readonly requestId: string;
  /** The caller's own. */
  readonly traceparent: string | undefined;
  /** Of the caller's leaving. A function: asking workerd for it costs as much as a small model. */
  readonly signal: () => AbortSignal | undefined;
}

/** What a tier answered. */
export interface Ran {
  readonly outputs: Fetches;
  readonly tier: Tier;
  readonly reason: PlacementReason;
  /** What computed it, of a run in this process; an origin's is its own. */
  readonly runtime: RuntimeIdentity | undefined;
  /** Of a run in this process; an origin's figures are its own. */
  readonly timings: RunTimings | undefined;
}
