import type { PoolModel } from '../engine/session-pool.ts';
import type { ResolvedModel } from '../repository/model-repository.ts';
import { modelSource } from '../repository/weights.ts';
import type { Services } from './services.ts';

/** What the session pool needs to know of a model: its name in the pool, what it will take, how it is read. */
export function poolModel({ blobs, engineBaseBytes }: Services, model: ResolvedModel): PoolModel {
  const { manifest, manifestDigest } = model;
  const { sessionBytes = 0, peakBytes = 0 } = manifest.edgeProfile ?? {};
  return {
    key: manifestDigest,
    bytes: sessionBytes,
    // Measured at the largest batch.
    scratchBytes: Math.max(0, peakBytes - engineBaseBytes - sessionBytes),
    load: () => modelSource(manifest, blobs),
  };
}
