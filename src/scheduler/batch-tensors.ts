/** Which requests may share a run, and what each of them gets of it. */
import type { Feeds, Fetches } from '../engine/types.ts';
import { commonRows } from '../tensor/rows.ts';
import { elementCount } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * What requests that may share a batch have in common: inputs, datatypes, and all dimensions but the first. Undefined for
 * a request that can share none, be it that it is wrong in itself: then it fails alone.
 */
export function batchGroup(feeds: Feeds): string | undefined {
  if (commonRows(feeds) === undefined) return undefined;
  const parts: string[] = [];
  for (const [name, { datatype, shape, data }] of feeds) {
    if (data.length !== elementCount(shape)) return undefined;
    parts.push(JSON.stringify([name, datatype, ...shape.slice(1)]));
  }
  return parts.sort().join();
}

/** All that any of the requests asked for; undefined, which means every output, where one asked for all. */
export function unionOfFetches(
  all: readonly (readonly string[] | undefined)[],
): readonly string[] | undefined {
  const names = new Set<string>();
  for (const fetches of all) {
    if (fetches === undefined) return undefined;
    for (const name of fetches) names.add(name);
  }
  return [...names];
}

/** Of what was computed, what one request asked for, in its order. */
export function pickFetches(computed: Fetches, fetches: readonly string[] | undefined): Fetches {
  if (fetches === undefined) return computed;
  const picked = new Map<string, Tensor>();
  for (const name of fetches) {
    const tensor = computed.get(name);
    if (tensor !== undefined) picked.set(name, tensor);
  }
  return picked;
}
