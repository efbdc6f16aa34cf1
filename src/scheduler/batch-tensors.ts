/** Finds the requests that may share a run, and each request's part of its outputs. */
import type { Feeds, Fetches } from '../engine/types.ts';
import { commonRows } from '../tensor/rows.ts';
import { elementCount } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * Returns a key of the inputs' names, datatypes and all dimensions but the first: requests with the same key may share a
 * run. Returns undefined for a request that must run alone; an invalid one then fails alone.
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

/** Returns the outputs that any request asked for; undefined, which means all outputs, if one asked for all. */
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

/** Returns the outputs that one request asked for, in its order. */
export function pickFetches(computed: Fetches, fetches: readonly string[] | undefined): Fetches {
  if (fetches === undefined) return computed;
  const picked = new Map<string, Tensor>();
  for (const name of fetches) {
    const tensor = computed.get(name);
    if (tensor !== undefined) picked.set(name, tensor);
  }
  return picked;
}
