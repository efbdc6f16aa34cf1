import type { StoredManifest } from '../../repository/documents.ts';
import type { Services } from '../services.ts';

/**
 * Logs, once for each version, that an origin runs requests one by one because the version was published before a push
 * measured whether rows depend on one another.
 */
export function noteUnmeasured(
  { batcher, logger, unmeasured }: Pick<Services, 'batcher' | 'logger' | 'unmeasured'>,
  { manifest, manifestDigest }: StoredManifest,
): void {
  const { maxBatchSize, name, rowWise, version } = manifest;
  if (batcher === undefined || rowWise !== undefined || maxBatchSize < 2) return;
  if (unmeasured.get(manifestDigest) !== undefined) return;
  unmeasured.set(manifestDigest, true, 1);
  logger.write({
    level: 'error',
    event: 'not_batched',
    model: name,
    version,
    digest: manifestDigest,
    cause: new Error(
      'the version was published before a push measured whether its rows depend on one another: its requests run one by one until it is pushed as a new version',
    ),
  });
}
