/** Keys of the state store. What each holds and how long it lives: `docs/storage.md`. */

export const indexPrefix = 'models/';
const indexSuffix = '.json';

/** Returns the key of one model's mutable index. */
export function indexKey(name: string): string {
  return `${indexPrefix}${name}${indexSuffix}`;
}

/** Returns the model whose index is stored under `key`, or undefined if `key` is not the key of an index. */
export function nameOfIndexKey(key: string): string | undefined {
  if (!key.startsWith(indexPrefix) || !key.endsWith(indexSuffix)) return undefined;
  return key.slice(indexPrefix.length, -indexSuffix.length);
}

export const removalPrefix = 'removals/';

/** Returns the key of the journal of a removal in one model, under way or cut off. */
export function removalKey(name: string): string {
  return `${removalPrefix}${name}.json`;
}
