/**
 * The model repository of another server, a worker's say, read over its admin API: for an origin that serves what is
 * published there. Nothing is written this way: who publishes, publishes there.
 *
 * What the other server says of the access to it is no business of those that call this one. It stands in causes alone.
 */
import { EdgewiseError, type ErrorCode, toEdgewiseError } from '../errors.ts';
import { indexKey, indexPrefix, nameOfIndexKey } from '../repository/keys.ts';
import { digestOf } from '../storage/digest.ts';
import type { BlobStore, KeyEtag, StateEntry, StateStore } from '../storage/types.ts';
import type { AdminClient } from './admin-client.ts';

const name = 'upstream';

/**
 * The blobs as they come: `tiered` checks them.
 *
 * `get` and `has` throw EdgewiseError `model_not_ready` where they cannot be read; the rest throws `forbidden`.
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
 * The indexes of its models; under any other key nothing is to be found.
 *
 * Reads throw EdgewiseError where the server refuses them, and an Error of no such kind where it could not be asked or has
 * failed (`storage/fallback-state.ts`); writes throw `forbidden`.
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
      throw refusedOrAway(error);
    }
  }

  async function entriesOf(prefix: string): Promise<readonly KeyEtag[]> {
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
      throw refusedOrAway(error);
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
    list: async (prefix) => (await entriesOf(prefix)).map(({ key }) => key),
    listEtags: entriesOf,
  };
}

function etagOf(value: string): Promise<string> {
  return digestOf(new TextEncoder().encode(value));
}

/** What a server answers that cannot be reached, has too much to do, or has failed: another time it may answer. */
const away: ReadonlySet<ErrorCode> = new Set([
  'origin_unavailable',
  'deadline_exceeded',
  'overloaded',
  'quota_exceeded',
  'model_not_ready',
  'no_capacity',
  'records_unavailable',
  'internal',
]);

function refusedOrAway(error: unknown): Error {
  return away.has(codeOf(error))
    ? new Error('the model repository of the upstream cannot be read now', { cause: error })
    : unreadable(error);
}

function unreadable(cause: unknown): EdgewiseError {
  const { code } = toEdgewiseError(cause);
  // Wrong bytes are met as such, wherever they were found.
  if (code === 'digest_mismatch') return toEdgewiseError(cause);
  return new EdgewiseError('model_not_ready', 'the model repository cannot be read now', {
    cause,
    retryAfterSeconds: away.has(code) ? 1 : 30,
  });
}

function codeOf(error: unknown): ErrorCode {
  return toEdgewiseError(error).code;
}

async function refuseToWrite(): Promise<never> {
  throw new EdgewiseError(
    'forbidden',
    'this server serves the models of another one and publishes none: publish there',
  );
}
