/**
 * Sums of the log for all meters, span by span. Each span is summed once, and every statement takes its tags from it. The
 * stored sums can be recomputed at any time from the log's files.
 */

import { z } from 'zod';
import { encodeBase64, parseBase64 } from '../../bytes.ts';
import { decodeStored } from '../../repository/documents.ts';
import type { StateStore } from '../../storage/types.ts';
import { emptyTree, type Tree } from '../log/merkle.ts';
import type { ReadFile } from '../log/tiles.ts';
import { type Count, countTo, sumTallies, type Tally } from './count.ts';

/** 32 bundles; short enough that every statement counts the entries after the last span itself. */
export const spanEntries = 8192;
const prefix = 'statements/spans/';
/** Number of documents that are read concurrently. */
const readAhead = 16;

const number = z.int().nonnegative();
const spanSchema = z.strictObject({
  schema: z.literal('edgewise.statement-span.v1'),
  /** The edge of the tree up to the end of the span, in base64; empty for an absent subtree. */
  edge: z.array(z.string()),
  /** Sums by tag, for every meter. */
  tallies: z.record(
    z.string(),
    z.strictObject({ entries: number, units: number, first: number, last: number }),
  ),
});

export interface SpansOptions {
  readonly state: StateStore;
  /** Reads the log's files. */
  readonly read: ReadFile;
  /** Limit for the spans that one call sums; the next call continues. */
  readonly maxNew: number;
}

/** Counts these tags in the full spans among the first `size` entries, as far as the spans are summed. */
export async function countSpans(
  { state, read, maxNew }: SpansOptions,
  size: number,
  tags: ReadonlySet<string>,
): Promise<Count> {
  const spans = Math.floor(size / spanEntries);
  let count: Count = { tree: emptyTree, tallies: new Map() };
  let next = 0;
  for (let isStored = true; isStored && next < spans; ) {
    const numbers = Array.from({ length: Math.min(readAhead, spans - next) }, (_, at) => next + at);
    for (const span of await Promise.all(numbers.map((n) => readSpan(state, n)))) {
      isStored = span !== undefined;
      if (span === undefined) break;
      count = addSpan(count, span, tags);
      next += 1;
    }
  }
  for (const end = Math.min(spans, next + maxNew); next < end; next += 1) {
    const before: Count = { tree: count.tree, tallies: new Map() };
    const span = await countTo(before, (next + 1) * spanEntries, read, 'all');
    await storeSpan(state, next, span);
    count = addSpan(count, span, tags);
  }
  return count;
}

/** Deletes all sums, for example because they do not match the log's root. The next call starts again. */
export async function forgetSpans(state: StateStore): Promise<void> {
  for (const key of await state.list(prefix)) {
    const stored = await state.get(key);
    if (stored !== undefined) await state.delete(key, { ifMatch: stored.etag });
  }
}

function addSpan({ tallies }: Count, span: Count, tags: ReadonlySet<string>): Count {
  const sum = new Map<string, Tally>(tallies);
  for (const tag of tags) {
    const tally = span.tallies.get(tag);
    if (tally !== undefined) sum.set(tag, sumTallies([sum.get(tag), tally]));
  }
  return { tree: span.tree, tallies: sum };
}

function pathOf(span: number): string {
  return `${prefix}${span}.json`;
}

async function readSpan(state: StateStore, span: number): Promise<Count | undefined> {
  const stored = await state.get(pathOf(span));
  if (stored === undefined) return undefined;
  const { edge, tallies } = decodeStored(spanSchema, stored.value, `span ${span} of the log`);
  const tree: Tree = {
    size: (span + 1) * spanEntries,
    edge: edge.map((hash) => (hash === '' ? undefined : parseBase64(hash, 'hash of a span'))),
  };
  return { tree, tallies: new Map(Object.entries(tallies)) };
}

/** Stores the sums of a span, unless another request has stored the same ones. */
async function storeSpan(state: StateStore, span: number, { tree, tallies }: Count): Promise<void> {
  const document: z.input<typeof spanSchema> = {
    schema: 'edgewise.statement-span.v1',
    edge: tree.edge.map((hash) => (hash === undefined ? '' : encodeBase64(hash))),
    tallies: Object.fromEntries(tallies),
  };
  await state.put(pathOf(span), JSON.stringify(document), { ifAbsent: true });
}
