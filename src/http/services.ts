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

/** All that the HTTP layer needs. `platform/` puts the real ones together, once per isolate. */
export interface Services {
  readonly settings: HttpSettings;
  /** What this process is: the edge places requests, an origin runs what it is sent. */
  readonly tier: Tier;
  readonly placement: PlacementSettings;
  /** Where requests go that the edge does not take; undefined where no pool is configured. */
  readonly origin: OriginPool | undefined;
  /** How request bodies are read, and what they may take of the memory together. */
  readonly bodies: BodyReading;
  readonly repository: ModelRepository;
  readonly publisher: Publisher;
  /** Whether the blobs of a version can be read, for probes. */
  readonly readable: ReadableVersions;
  /** Where weights are read from on the way into a session: all tiers. */
  readonly blobs: VerifiedBlobStore;
  readonly pool: SessionPool;
  /** Gathers requests into batches; undefined where each runs by itself. */
  readonly batcher: DynamicBatcher | undefined;
  /** What runs of each model take here; undefined at an edge, whose publisher measured it. */
  readonly measuredRuns: MeasuredRuns | undefined;
  /** Digests of manifests whose model ran out of memory in this isolate. */
  readonly outOfMemory: Lru<string, true>;
  /** Digests of manifests of which it was found here that nothing bounds what a run costs. */
  readonly unbounded: Lru<string, true>;
  /** Digests of manifests that the log has called too old to be batched. */
  readonly unmeasured: Lru<string, true>;
  /** Cap of the edge's WASM memory, and what the engine takes of it before any model. */
  readonly edgeCapBytes: number;
  readonly engineBaseBytes: number;
  readonly admission: Admission;
  /** What runs at the edge are expected to cost, corrected by those that this isolate has seen. */
  readonly runCosts: RunCosts;
  /** How many requests may be at the origin. */
  readonly hops: Admission;
  readonly statistics: Statistics;
  /** Copies of requests to another version or tier; undefined where none are sent. */
  readonly shadows?: Shadows | undefined;
  /** Of a process that starts and ends; undefined where the platform sees to that. */
  readonly lifecycle?: Lifecycle | undefined;
  /** How often callers may ask; undefined: as often as they like. */
  readonly rates?: Rates | undefined;
  /** Tenants and what they hold; undefined where this server keeps none. */
  readonly accounts?: Accounts | undefined;
  /** What answers are accounted for with; undefined at an origin. */
  readonly governance?: Governance | undefined;
  /** What those whose data it is can ask for; undefined where nothing is kept of anybody. */
  readonly subjects?: Subjects | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
}
