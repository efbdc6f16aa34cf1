import type { Clock } from '../async/clock.ts';
import type { Lru } from '../async/lru.ts';
import type { SessionPool } from '../engine/session-pool.ts';
import type { Accounts } from '../governance/accounts/accounts.ts';
import type { Subjects } from '../governance/subjects/subjects.ts';
import type { Publisher } from '../repository/index/publisher.ts';
import type { ModelRepository } from '../repository/model-repository.ts';
import type { ReadableVersions } from '../repository/readable.ts';
import type { OriginPool } from '../routing/origin-pool.ts';
import type { Tier } from '../routing/place.ts';
import type { RunCosts } from '../routing/run-costs.ts';
import type { Admission } from '../scheduler/admission.ts';
import type { DynamicBatcher } from '../scheduler/dynamic-batcher.ts';
import type { MeasuredRuns } from '../scheduler/measured-runs.ts';
import type { VerifiedBlobStore } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Statistics } from '../telemetry/statistics.ts';
import type { BodyReading } from './body/reading.ts';
import type { Rates } from './caller/rates.ts';
import type { Shadows } from './infer/shadow.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Governance } from './record/governance.ts';
import type { HttpSettings, PlacementSettings } from './settings.ts';

/** Everything that the HTTP layer needs. `platform/` makes the real ones, once per isolate. */
export interface Services {
  readonly settings: HttpSettings;
  /** The tier of this process: an edge places requests, an origin runs the requests that it is sent. */
  readonly tier: Tier;
  readonly placement: PlacementSettings;
  /** Takes the requests that the edge does not; undefined if no pool is configured. */
  readonly origin: OriginPool | undefined;
  /** How request bodies are read, and how much memory they may take together. */
  readonly bodies: BodyReading;
  readonly repository: ModelRepository;
  readonly publisher: Publisher;
  /** Tells probes whether the blobs of a version can be read. */
  readonly readable: ReadableVersions;
  /** All storage tiers, from which weights are read into a session. */
  readonly blobs: VerifiedBlobStore;
  readonly pool: SessionPool;
  /** Gathers requests into batches; undefined if each request runs by itself. */
  readonly batcher: DynamicBatcher | undefined;
  /** Measures how long runs of each model take; undefined at an edge, which has the publisher's measurement. */
  readonly measuredRuns: MeasuredRuns | undefined;
  /** Digests of manifests whose model ran out of memory in this isolate. */
  readonly outOfMemory: Lru<string, true>;
  /** Digests of manifests whose model was found here to have runs of unbounded cost. */
  readonly unbounded: Lru<string, true>;
  /** Digests of manifests that the logger has reported as too old to be batched. */
  readonly unmeasured: Lru<string, true>;
  /** Cap of the edge's WASM memory. */
  readonly edgeCapBytes: number;
  /** The part of it that the engine takes before any model is loaded. */
  readonly engineBaseBytes: number;
  /** Permits for runs in this process. */
  readonly admission: Admission;
  /** Predicts what runs at the edge cost, corrected by the runs of this isolate. */
  readonly runCosts: RunCosts;
  /** Permits for requests at the origin. */
  readonly hops: Admission;
  readonly statistics: Statistics;
  /** Sends copies of requests to another version or tier; undefined if none are sent. */
  readonly shadows?: Shadows | undefined;
  /** The phase of a process that starts and drains; undefined if the platform sees to that. */
  readonly lifecycle?: Lifecycle | undefined;
  /** Rate limits of callers; undefined if there are none. */
  readonly rates?: Rates | undefined;
  /** Tenants, their keys and grants; undefined if this server keeps none. */
  readonly accounts?: Accounts | undefined;
  /** What puts answers on record; undefined at an origin. */
  readonly governance?: Governance | undefined;
  /** Data-subject requests; undefined when no personal data is stored. */
  readonly subjects?: Subjects | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
}
