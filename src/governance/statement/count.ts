/**
 * Adds up entries of the log by their meter tags. A count knows the tree of all entries that it has seen, so that its root
 * shows whether they are the log's; it goes on from where it stands as the log grows.
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
  /** Positions in the log of the first and the last of the entries. */
  readonly first: number;
  readonly last: number;
}

/** What the first `tree.size` entries of the log say. */
export interface Count {
  readonly tree: Tree;
  /** By tag, as receipts write it; of those tags only that there are entries of. */
  readonly tallies: ReadonlyMap<string, Tally>;
}

export const emptyCount: Count = { tree: emptyTree, tallies: new Map() };

/** Shown each entry that is counted. */
export type OnEntry = (entry: LogEntry, index: number) => void;

/** @throws EdgewiseError `invalid_request` for what is no entry; `internal` for more units than can be added up. */
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
      joined([counted.get(tag), { entries: 1, units: entry.units, first: index, last: index }]),
    );
    onEntry?.(entry, index);
  }
  return { tree: grow(tree, entries.map(leafHash)).tree, tallies: counted };
}

/** Bundles that are read at a time. */
const readAhead = 8;

/**
 * Goes on to the first `size` entries.
 *
 * @throws EdgewiseError as `countEntries`; `not_found` and `digest_mismatch` where a file of the log is missing or cut off.
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

/** The next entries, bundle by bundle. */
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

const nothing: Tally = {
  entries: 0,
  units: 0,
  first: Number.POSITIVE_INFINITY,
  last: Number.NEGATIVE_INFINITY,
};

/** Of several tags together; `entries` 0 where there are none. */
export function joined(tallies: Iterable<Tally | undefined>): Tally {
  let sum = nothing;
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
      `${sum.units} units of one meter are more than can be added up exactly`,
    );
  }
  return sum;
}
