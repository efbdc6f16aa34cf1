/**
 * One inference request on its way. Every stage of the path (`infer.ts`) takes the request as the stage before left it and
 * returns it with more fields. A parameter's type says which stages have to come before.
 */
import type { Bytes } from '../../bytes.ts';
import type { Feeds, Fetches, RunTimings, RuntimeIdentity } from '../../engine/types.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import type { Action } from '../../governance/accounts/schema.ts';
import type { Permission } from '../../governance/policy/types.ts';
import type { InferRequest } from '../../protocol/oip/types.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import type { OipRequest } from '../../routing/oip-endpoint.ts';
import type { PlacementFacts, PlacementReason, Tier } from '../../routing/place.ts';
import type { SchedulePolicy } from '../../scheduler/schedule-policy.ts';
import type { SuccessTimes } from '../../telemetry/statistics.ts';
import type { AppContext } from '../context.ts';
import type { Governance } from '../record/governance.ts';
import type { Services } from '../services.ts';

/** The request as it arrives. */
export interface ArrivedRequest {
  readonly c: AppContext;
  readonly services: Services;
  /** By the clock of the services. */
  readonly startedMs: number;
  /** The model's name, as in the path. */
  readonly name: string;
  /** The version or alias in the path; undefined if the path has none. */
  readonly versionOrAlias: string | undefined;
}

/** After `identify`. */
export interface IdentifiedRequest extends ArrivedRequest {
  readonly caller: Caller;
}

/** After `resolve`. */
export interface ResolvedRequest extends IdentifiedRequest {
  readonly model: ResolvedModel;
  /** The tier that the alias's traffic split chose for this request; undefined if no split names one. */
  readonly split: Tier | undefined;
}

/** What `admit` needs to know: any use of a model, not only an inference. */
export interface ModelUse {
  readonly c: AppContext;
  readonly services: Services;
  readonly caller: Caller;
  readonly model: ResolvedModel;
  readonly action: Action;
}

/** What governance permits this request; every receipt about it is made from this. */
export interface PermittedUse extends ModelUse {
  readonly governance: Governance;
  readonly permit: Permission;
  /** When the request arrived, in milliseconds since 1970. */
  readonly atMs: number;
}

/** After `admit`. */
export interface AdmittedRequest extends ResolvedRequest {
  /** Undefined at an origin, which leaves governance to the edge that calls it. */
  readonly use: PermittedUse | undefined;
}

/** What the request's headers, its tenant and the alias's split ask of placement. */
export interface PlacementWishes {
  readonly wish?: Tier | undefined;
  readonly split?: Tier | undefined;
  /** The jurisdiction that the request is bound to. */
  readonly jurisdiction?: string | undefined;
}

/** What a tier needs to compute an inference. */
export interface RunRequest {
  readonly services: Services;
  readonly model: ResolvedModel;
  readonly input: InferRequest;
  /** The body as it came, if it came in binary. */
  readonly original: OipRequest['original'];
  readonly schedule: SchedulePolicy;
  readonly jurisdiction: string | undefined;
  /** The time that a run at the edge is expected to take. */
  readonly edgeCostMs: number;
  readonly startedMs: number;
  readonly requestId: string;
  /** The caller's own. */
  readonly traceparent: string | undefined;
  /** Aborted when the caller leaves. A function, because asking workerd for the signal costs as much as a small model. */
  readonly signal: () => AbortSignal | undefined;
}

/** After `read`, for a body that was read and parsed. */
export interface ReadRequest extends AdmittedRequest, RunRequest {
  readonly wishes: PlacementWishes;
  /** Time spent waiting for the caller to send the body. */
  readonly bodyMs: number;
  /** Rows of the batch: what the request counts for. */
  readonly units: number;
}

/** After `read`, for a body that goes on to an origin as it comes. */
export interface UnreadRequest extends AdmittedRequest {
  readonly wishes: PlacementWishes;
  readonly placement: TierChoice;
  readonly unreadBody: Bytes | ReadableStream<Uint8Array> | null;
}

/** After `place`. */
export interface PlacedRequest extends ReadRequest {
  readonly facts: PlacementFacts;
  readonly placement: TierChoice;
}

export interface TierChoice {
  readonly tier: Tier;
  readonly reason: PlacementReason;
}

/** Units that one request has taken from a quota. */
export interface Charge {
  /** Called once the log has the receipt, or may have it: the quota counts what the log counts. */
  keep(): void;
  /** Gives the units back, unless they are kept. */
  giveBack(): void;
}

/** After `charge`. */
export interface ChargedRequest extends PlacedRequest {
  /** The units taken from a quota; undefined if no quota limits the use. */
  readonly charge: Charge | undefined;
}

/** What a tier computed. */
export interface RunOutcome extends TierChoice {
  readonly outputs: Fetches;
  /** Undefined for a run at an origin, which keeps its own. */
  readonly runtime: RuntimeIdentity | undefined;
  /** Undefined for a run at an origin, which keeps its own. */
  readonly timings: RunTimings | undefined;
}

/** After `run`. */
export interface RanRequest extends ChargedRequest {
  readonly outcome: RunOutcome;
  /** When the run began and ended, by the clock of the services; waits, attempts and network included. */
  readonly runBeganMs: number;
  readonly runEndedMs: number;
}

/** What a receipt says about an answer. */
export interface RecordedAnswer {
  readonly tier: Tier;
  readonly reason: PlacementReason | 'download';
  readonly jurisdiction: string | undefined;
  readonly units: number;
  /** What computed the answer; undefined for an origin that does not say. */
  readonly runtime: RuntimeIdentity | undefined;
  /** Both undefined for a body that was not read. */
  readonly inputs: Feeds | undefined;
  readonly outputs: Fetches | undefined;
  /** Kept once the answer is on record. */
  readonly charge?: Charge | undefined;
}

/** After `encode`, or `forward` for a body that was not read: an answer that lacks its common headers. */
export interface InferenceAnswer extends RecordedAnswer, TierChoice {
  readonly reason: PlacementReason;
  /** Where the time went, for the model's statistics. */
  readonly times: SuccessTimes;
  /** The `Server-Timing` header. */
  readonly serverTiming: string;
  readonly toResponse: (headers: Readonly<Record<string, string>>) => Response;
}
