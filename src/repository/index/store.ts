import { changeState } from '../../storage/compare-and-swap.ts';
import type { StateStore } from '../../storage/types.ts';
import { decodeIndex, encodeIndex } from '../documents.ts';
import { indexKey } from '../keys.ts';
import type { ModelIndex } from '../schema.ts';

/** Reads the index from the store. */
export async function readIndex(state: StateStore, name: string): Promise<ModelIndex | undefined> {
  const entry = await state.get(indexKey(name));
  return entry && decodeIndex(name, entry.value);
}

/**
 * Changes the index by compare-and-swap. `change` may be called several times. It returns the next index, the same index for
 * "no change", or undefined for "no index"; an index without versions is deleted.
 *
 * @returns The index after the change.
 * @throws EdgewiseError `overloaded` if the index is changed by too many writers at once; what `change` throws.
 */
export async function changeIndex(
  state: StateStore,
  name: string,
  change: (index: ModelIndex | undefined) => ModelIndex | undefined | Promise<ModelIndex | undefined>,
): Promise<ModelIndex | undefined> {
  let after: ModelIndex | undefined;
  await changeState(
    state,
    indexKey(name),
    async (value) => {
      const changed = await change(value === undefined ? undefined : decodeIndex(name, value));
      after = changed !== undefined && changed.versions.length > 0 ? changed : undefined;
      return after && encodeIndex(after);
    },
    { what: `model ${name}` },
  );
  return after;
}
