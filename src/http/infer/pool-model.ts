import type { PoolModel } from '../../engine/session-pool.ts';
import type { StoredManifest } from '../../repository/documents.ts';
import { openModelSource } from '../../repository/weights.ts';
import type { Services } from '../services.ts';
import { loadBounded } from './load-bounded.ts';

/** Describes a model to the session pool: its key, the memory it will take, how it is loaded. */
export function poolModel(services: Services, model: StoredManifest): PoolModel {
  const { blobs, engineBaseBytes, tier } = services;
  const { manifest, manifestDigest } = model;
  const named = { key: manifestDigest, name: manifest.name, version: manifest.version };
  if (tier === 'origin') {
    return {
      ...named,
      bytes: manifest.graph.byteLength + (manifest.weights?.byteLength ?? 0),
      load: () => openModelSource(manifest, blobs),
    };
  }
  const { sessionBytes = 0, peakBytes = 0 } = manifest.edgeProfile ?? {};
  return {
    ...named,
    bytes: sessionBytes,
    // The peak was measured at the largest batch.
    scratchBytes: Math.max(0, peakBytes - engineBaseBytes - sessionBytes),
    load: () => loadBounded(services, model),
  };
}
