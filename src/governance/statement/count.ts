/**
 * Sums entries of the log by meter tag. A count includes the tree of its entries, whose root shows whether they are the
 * log's. A count can be continued as the log grows.
 */

import { base64url } from 'jose';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { decodeEntry } from '../log/entry.ts';
import { emptyTree, grow, leafHash, type Tree } from '../log/merkle.ts';
import { bundleEntries, type ReadFile, tileWidth } from '../log/tiles.ts';
import type { LogEntry } from '../log/types.ts';

export interface Tally {
  readonly entries: number;
  readonly units: number;
  /** Positions of the first and the last entry in the log. */
  readonly first: number;
  readonly last: number;
}

/** The sums of the first `tree.size` entries of the log. */
export interface Count {
  readonly tree: Tree;
  /** Sums by tag, in the form of receipts. Only tags with entries. */
  readonly tallies: ReadonlyMap<string, Tally>;
}

export const emptyCount: Count = { tree: emptyTree, tallies: new Map() };

/** Called for each counted entry. */
export type OnEntry = (entry: LogEntry, index: number) => void;

/** @throws EdgewiseError `invalid_request` for a malformed entry; `internal` if the sum of units exceeds 2⁵³ − 1. */
export function countEntries(
  { tree, tallies }: Count,
  entries: readonly Bytes[],
  tags: ReadonlySet<string> | 'all',
  onEntry?: OnEntry,
): Count {
  const counted = new Map(tallies);
  for (const [at, bytes] of entries.entries()) {
    const entry = decodeEntry(bytes);
    const tag = base64url.encode(entry.meterTag);
    if (tags !== 'all' && !tags.has(tag)) continue;
    const index = tree.size + at;
    counted.set(
      tag,
      sumTallies([counted.get(tag), { entries: 1, units: entry.units, first: index, last: index }]),
    );
    onEntry?.(entry, index);
  }
  return { tree: grow(tree, entries.map(leafHash)).tree, tallies: counted };
}

/** Number of bundles that are read concurrently. */
const readAhead = 8;

/**
 * Continues the count up to the first `size` entries. Returns the count itself if it has as many or more.
 *
 * @throws EdgewiseError as `countEntries`; `not_found` or `digest_mismatch` if a file of the log is missing or truncated.
 */
export async function countTo(
  count: Count,
  size: number,
  read: ReadFile,
  tags: ReadonlySet<string> | 'all',
  onEntry?: OnEntry,
): Promise<Count> {
  let counted = count;
  while (counted.tree.size < size) {
    for (const entries of await Promise.all(bundlesFrom(counted.tree.size, size, read))) {
      counted = countEntries(counted, entries, tags, onEntry);
    }
  }
  return counted;
}

/** Reads the next entries, bundle by bundle. */
function bundlesFrom(from: number, to: number, read: ReadFile): Promise<Bytes[]>[] {
  const first = Math.floor(from / tileWidth);
  const last = Math.min(Math.ceil(to / tileWidth), first + readAhead);
  return Array.from({ length: last - first }, async (_, at) => {
    const index = first + at;
    const width = Math.min(tileWidth, to - index * tileWidth);
    const entries = await bundleEntries({ level: undefined, index, width }, read);
    return at === 0 ? entries.slice(from - index * tileWidth) : entries;
  });
}

const emptyTally: Tally = {
  entries: 0,
  units: 0,
  first: Number.POSITIVE_INFINITY,
  last: Number.NEGATIVE_INFINITY,
};

/** Sums several tallies; without any, `entries` is 0. @throws EdgewiseError `internal` if the units exceed 2⁵³ − 1 */
export function sumTallies(tallies: Iterable<Tally | undefined>): Tally {
  let sum = emptyTally;
  for (const tally of tallies) {
    if (tally === undefined) continue;
    sum = {
      entries: sum.entries + tally.entries,
      units: sum.units + tally.units,
      first: Math.min(sum.first, tally.first),
      last: Math.max(sum.last, tally.last),
    };
  }
  if (!Number.isSafeInteger(sum.units)) {
    throw new EdgewiseError(
      'internal',
      `the sum of ${sum.units} units exceeds 2⁵³ − 1, the largest exact sum`,
    );
  }
  return sum;
}
