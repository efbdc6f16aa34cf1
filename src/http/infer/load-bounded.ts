/** Loads versions at the edge that were published before a push analysed the bounds of their cost. */
import type { ModelSource } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import type { StoredManifest } from '../../repository/documents.ts';
import { analyseCost } from '../../repository/onnx/cost/analyse.ts';
import { decodeModel } from '../../repository/onnx/proto.ts';
import { openModelSource } from '../../repository/weights.ts';
import type { Services } from '../services.ts';

/**
 * Returns the model's files. A version whose manifest does not say whether its cost is bounded is analysed now, which takes
 * some milliseconds; an unbounded version is remembered, and placed at the origin from then on.
 *
 * @throws EdgewiseError `model_not_ready` if a run of the model may compute without end; as `openModelSource`
 */
export async function loadBounded(
  { blobs, unbounded }: Pick<Services, 'blobs' | 'unbounded'>,
  { manifest, manifestDigest }: StoredManifest,
): Promise<ModelSource> {
  const source = await openModelSource(manifest, blobs);
  if (manifest.bounded === undefined && !isBounded(source, manifest.values)) {
    unbounded.set(manifestDigest, true, 1);
    throw new EdgewiseError(
      'model_not_ready',
      `model "${manifest.name}" does not run at the edge: values of a request may make it compute without end, and it was published before a push checked that. Its publisher can push it as a new version`,
      { retryAfterSeconds: 30 },
    );
  }
  return source;
}

function isBounded({ graph }: ModelSource, values: object = {}): boolean {
  return analyseCost(decodeModel(graph), new Set(Object.keys(values))).unbounded.length === 0;
}
