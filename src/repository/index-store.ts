import { EdgewiseError } from '../errors.ts';
import type { StateStore } from '../storage/types.ts';
import { decodeIndex, encodeIndex } from './documents.ts';
import { indexKey } from './keys.ts';
import type { ModelIndex } from './schema.ts';

/** Each lost round means that another writer has won one, so many in a row are a crowd. */
const maxAttempts = 20;

/** The index as it stands in the store now. */
export async function readIndex(state: StateStore, name: string): Promise<ModelIndex | undefined> {
  const entry = await state.get(indexKey(name));
  return entry && decodeIndex(name, entry.value);
}

/**
 * Changes the index by compare-and-swap. `change` may be called several times; it gives the next index (the same one
 * for "no change"), or undefined for "no index". A next index without versions is stored as no index.
 *
 * @returns what stands afterwards.
 * @throws EdgewiseError `overloaded` when others change the same index all the time; what `change` throws.
 */
export async function changeIndex(
  state: StateStore,
  name: string,
  change: (index: ModelIndex | undefined) => ModelIndex | undefined | Promise<ModelIndex | undefined>,
): Promise<ModelIndex | undefined> {
  const key = indexKey(name);
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const entry = await state.get(key);
    const before = entry && decodeIndex(name, entry.value);
    const changed = await change(before);
    const after = changed !== undefined && changed.versions.length > 0 ? changed : undefined;
    const text = after && encodeIndex(after);
    if (text === entry?.value) return after;
    if (text === undefined) {
      if (entry === undefined || (await state.delete(key, { ifMatch: entry.etag }))) return undefined;
    } else {
      const condition = entry === undefined ? { ifAbsent: true as const } : { ifMatch: entry.etag };
      if ((await state.put(key, text, condition)) !== undefined) return after;
    }
  }
  throw new EdgewiseError('overloaded', `model ${name} is being changed by too many at once`, {
    retryAfterSeconds: 1,
  });
}
