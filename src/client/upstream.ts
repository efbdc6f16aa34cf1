/**
 * The model repository of another server, such as a worker, read over its admin API: for an origin that serves the models
 * published there. It cannot be written.
 *
 * Messages of the other server may name its keys and addresses, so they are only causes of errors, never shown to callers.
 */
import { EdgewiseError, type ErrorCode, toEdgewiseError } from '../errors.ts';
import { indexKey, indexPrefix, nameOfIndexKey } from '../repository/keys.ts';
import { digestOf } from '../storage/digest.ts';
import type { BlobStore, KeyEtag, StateEntry, StateStore } from '../storage/types.ts';
import type { AdminClient } from './admin-client.ts';

const name = 'upstream';

/**
 * Returns the server's blobs, unchecked: `tiered` checks them. `get` and `has` throw EdgewiseError `model_not_ready` for
 * blobs that cannot be read; writes throw `forbidden`.
 */
export function upstreamBlobStore(client: Pick<AdminClient, 'getBlob' | 'hasBlob'>): BlobStore {
  return {
    name,
    async get(digest) {
      try {
        return await client.getBlob(digest);
      } catch (error) {
        if (codeOf(error) === 'not_found') return undefined;
        throw unreadable(error);
      }
    },
    async has(digest) {
      try {
        return await client.hasBlob(digest);
      } catch (error) {
        throw unreadable(error);
      }
    },
    put: refuseToWrite,
    delete: refuseToWrite,
    discardWrong: refuseToWrite,
  };
}

/**
 * Returns the indexes of the server's models; every other key is absent. A read throws EdgewiseError if the server refuses
 * it, and a plain Error if the server is unreachable or fails (`storage/fallback-state.ts`). Writes throw `forbidden`.
 */
export function upstreamStateStore(client: Pick<AdminClient, 'model' | 'models'>): StateStore {
  async function get(key: string): Promise<StateEntry | undefined> {
    const model = nameOfIndexKey(key);
    if (model === undefined) return undefined;
    try {
      const value = JSON.stringify((await client.model(model)).index);
      return { value, etag: await etagOf(value) };
    } catch (error) {
      if (codeOf(error) === 'model_not_found') return undefined;
      throw toReadError(error);
    }
  }

  async function listEntries(prefix: string): Promise<readonly KeyEtag[]> {
    if (!prefix.startsWith(indexPrefix) && !indexPrefix.startsWith(prefix)) return [];
    try {
      const entries = await Promise.all(
        (await client.models()).map(async (index) => ({
          key: indexKey(index.name),
          etag: await etagOf(JSON.stringify(index)),
        })),
      );
      return entries
        .filter(({ key }) => key.startsWith(prefix))
        .sort((one, other) => (one.key < other.key ? -1 : 1));
    } catch (error) {
      throw toReadError(error);
    }
  }

  return {
    name,
    get,
    async getIfChanged(key, etag) {
      const entry = await get(key);
      return entry?.etag === etag ? 'unchanged' : entry;
    },
    put: refuseToWrite,
    delete: refuseToWrite,
    list: async (prefix) => (await listEntries(prefix)).map(({ key }) => key),
    listEtags: listEntries,
  };
}

function etagOf(value: string): Promise<string> {
  return digestOf(new TextEncoder().encode(value));
}

/** Codes of a server that is unreachable, overloaded or failing: a later request may succeed. */
const transientCodes: ReadonlySet<ErrorCode> = new Set([
  'origin_unavailable',
  'deadline_exceeded',
  'overloaded',
  'quota_exceeded',
  'model_not_ready',
  'no_capacity',
  'records_unavailable',
  'internal',
]);

function toReadError(error: unknown): Error {
  return transientCodes.has(codeOf(error))
    ? new Error('the model repository of the upstream cannot be read now', { cause: error })
    : unreadable(error);
}

function unreadable(cause: unknown): EdgewiseError {
  const { code } = toEdgewiseError(cause);
  // Wrong bytes keep their code, so that `tiered` drops them.
  if (code === 'digest_mismatch') return toEdgewiseError(cause);
  return new EdgewiseError('model_not_ready', 'the model repository cannot be read now', {
    cause,
    retryAfterSeconds: transientCodes.has(code) ? 1 : 30,
  });
}

function codeOf(error: unknown): ErrorCode {
  return toEdgewiseError(error).code;
}

async function refuseToWrite(): Promise<never> {
  throw new EdgewiseError('forbidden', 'this server serves the models of another server: publish them there');
}
