import type { PoolModel } from '../engine/session-pool.ts';
import type { ResolvedModel } from '../repository/model-repository.ts';
import { modelSource } from '../repository/weights.ts';
import type { Services } from './services.ts';

/** What the session pool needs to know of a model: its name in the pool, what it will take, how it is read. */
export function poolModel({ blobs, engineBaseBytes }: Services, model: ResolvedModel): PoolModel {
  const { manifest, manifestDigest } = model;
  // The peak holds one run's scratch memory beside the session: room for both is wanted.
  const peakBytes = manifest.edgeProfile?.peakBytes ?? engineBaseBytes;
  return {
    key: manifestDigest,
    bytes: Math.max(0, peakBytes - engineBaseBytes),
    load: () => modelSource(manifest, blobs),
  };
}
