/** Opens the stores of an origin's models: a folder of its own, or another server with a cache folder. */
import { join } from 'node:path';
import type { Clock } from '../async/clock.ts';
import { createAdminClient } from '../client/admin-client.ts';
import { upstreamBlobStore, upstreamStateStore } from '../client/upstream.ts';
import { fallbackStateStore } from '../storage/fallback-state.ts';
import { fsBlobStore, fsStateStore } from '../storage/fs.ts';
import { type TieredOptions, tiered, verifyReads } from '../storage/tiered.ts';
import type { StateStore, VerifiedBlobStore } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { RepositorySource } from './node-config.ts';

export interface RepositoryStores {
  readonly state: StateStore;
  /** Store that models are published to; it refuses writes if it is an upstream. */
  readonly durable: VerifiedBlobStore;
  readonly blobs: VerifiedBlobStore;
}

/** An index is a few kilobytes, and a request waits for it: an upstream that hangs counts as unreachable. */
const indexTimeoutMs = 5000;

export function openRepository(
  source: RepositorySource,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): RepositoryStores {
  const tiers: TieredOptions = {
    // The process outlives its requests, and deferred work never rejects.
    defer: (work) => void work,
    onFault: ({ tier, operation, digest, error }) =>
      logger.write({ level: 'error', event: 'tier_fault', tier, operation, digest, cause: error }),
  };
  if ('directory' in source) {
    const durable = verifyReads(fsBlobStore(source.directory), tiers);
    return { state: fsStateStore(source.directory), durable, blobs: durable };
  }
  const { url, key, cacheDirectory } = source;
  const blobs = upstreamBlobStore(createAdminClient({ url, key, clock }));
  const indexes = createAdminClient({ url, key, clock, timeoutMs: indexTimeoutMs, maxAttempts: 1 });
  return {
    state: fallbackStateStore({
      primary: upstreamStateStore(indexes),
      kept: fsStateStore(join(cacheDirectory, 'indexes')),
      clock,
      onFault: ({ kind, error }) =>
        logger.write({ level: 'error', event: `upstream_${kind}`, tier: 'upstream', cause: error }),
    }),
    durable: verifyReads(blobs, tiers),
    blobs: tiered([fsBlobStore(cacheDirectory), blobs], tiers),
  };
}
