import type { Clock } from '../async/clock.ts';
import type { SessionPool } from '../engine/session-pool.ts';
import type { ModelRepository } from '../repository/model-repository.ts';
import type { Publisher } from '../repository/publisher.ts';
import type { Admission } from '../scheduler/admission.ts';
import type { VerifiedBlobStore } from '../storage/types.ts';
import type { Log } from '../telemetry/log.ts';
import type { Statistics } from '../telemetry/statistics.ts';
import type { HttpSettings } from './settings.ts';

/** All that the HTTP layer needs. `platform/` puts the real ones together, once per isolate. */
export interface Services {
  readonly settings: HttpSettings;
  readonly repository: ModelRepository;
  readonly publisher: Publisher;
  /** Where weights are read from on the way into a session: all tiers. */
  readonly blobs: VerifiedBlobStore;
  readonly pool: SessionPool;
  /** Cap of the edge's WASM memory, and what the engine takes of it before any model. */
  readonly edgeCapBytes: number;
  readonly engineBaseBytes: number;
  readonly admission: Admission;
  readonly statistics: Statistics;
  readonly log: Log;
  readonly clock: Clock;
}
