/** Keys of the state store. What each holds and how long it lives: `docs/storage.md`. */

export const indexPrefix = 'models/';
const indexSuffix = '.json';

/** The mutable index of one model. */
export function indexKey(name: string): string {
  return `${indexPrefix}${name}${indexSuffix}`;
}

/** The model whose index stands under `key`, or undefined where the key is none of an index. */
export function nameOfIndexKey(key: string): string | undefined {
  if (!key.startsWith(indexPrefix) || !key.endsWith(indexSuffix)) return undefined;
  return key.slice(indexPrefix.length, -indexSuffix.length);
}

export const removalPrefix = 'removals/';

/** The journal of a removal that is under way, or was cut off, in one model. */
export function removalKey(name: string): string {
  return `${removalPrefix}${name}.json`;
}
