/**
 * The log, added up span by span for all meters at once: what the entries of a span say is worked out once, and every
 * statement takes its tags from it. What is kept can be worked out again at any time, from the log's files alone.
 */

import { z } from 'zod';
import { encodeBase64, parseBase64 } from '../../bytes.ts';
import { decodeStored } from '../../repository/documents.ts';
import type { StateStore } from '../../storage/types.ts';
import { emptyTree, type Tree } from '../log/merkle.ts';
import type { ReadFile } from '../log/tiles.ts';
import { type Count, countTo, joined, type Tally } from './count.ts';

/** 32 bundles: short enough to count what comes after the last span for every statement. */
export const spanEntries = 8192;
const prefix = 'statements/spans/';
/** Documents that are read at a time. */
const readAhead = 16;

const number = z.int().nonnegative();
const spanSchema = z.strictObject({
  schema: z.literal('edgewise.statement-span.v1'),
  /** Of the tree up to the end of the span, in base64; empty where it has no such subtree. */
  edge: z.array(z.string()),
  /** By tag, of every meter. */
  tallies: z.record(
    z.string(),
    z.strictObject({ entries: number, units: number, first: number, last: number }),
  ),
});

export interface SpansOptions {
  readonly state: StateStore;
  /** Reads the log's files. */
  readonly read: ReadFile;
  /** Spans that one call works out; where there are more, the next call goes on. */
  readonly maxNew: number;
}

/** What the full spans among the first `size` entries say of these tags, as far as they are worked out. */
export async function countSpans(
  { state, read, maxNew }: SpansOptions,
  size: number,
  tags: ReadonlySet<string>,
): Promise<Count> {
  const spans = Math.floor(size / spanEntries);
  let count: Count = { tree: emptyTree, tallies: new Map() };
  let next = 0;
  for (let isKept = true; isKept && next < spans; ) {
    const asked = Array.from({ length: Math.min(readAhead, spans - next) }, (_, at) => next + at);
    for (const span of await Promise.all(asked.map((n) => readSpan(state, n)))) {
      isKept = span !== undefined;
      if (span === undefined) break;
      count = added(count, span, tags);
      next += 1;
    }
  }
  for (const end = Math.min(spans, next + maxNew); next < end; next += 1) {
    const before: Count = { tree: count.tree, tallies: new Map() };
    const span = await countTo(before, (next + 1) * spanEntries, read, 'all');
    await keepSpan(state, next, span);
    count = added(count, span, tags);
  }
  return count;
}

/** Where what was kept does not lead to the log's root: the next call begins from nothing. */
export async function forgetSpans(state: StateStore): Promise<void> {
  for (const key of await state.list(prefix)) {
    const stored = await state.get(key);
    if (stored !== undefined) await state.delete(key, { ifMatch: stored.etag });
  }
}

function added({ tallies }: Count, span: Count, tags: ReadonlySet<string>): Count {
  const sum = new Map<string, Tally>(tallies);
  for (const tag of tags) {
    const tally = span.tallies.get(tag);
    if (tally !== undefined) sum.set(tag, joined([sum.get(tag), tally]));
  }
  return { tree: span.tree, tallies: sum };
}

function keyOf(span: number): string {
  return `${prefix}${span}.json`;
}

async function readSpan(state: StateStore, span: number): Promise<Count | undefined> {
  const stored = await state.get(keyOf(span));
  if (stored === undefined) return undefined;
  const { edge, tallies } = decodeStored(spanSchema, stored.value, `span ${span} of the log`);
  const tree: Tree = {
    size: (span + 1) * spanEntries,
    edge: edge.map((hash) => (hash === '' ? undefined : parseBase64(hash, 'hash of a span'))),
  };
  return { tree, tallies: new Map(Object.entries(tallies)) };
}

/** Whoever was faster has worked out the same. */
async function keepSpan(state: StateStore, span: number, { tree, tallies }: Count): Promise<void> {
  const document: z.input<typeof spanSchema> = {
    schema: 'edgewise.statement-span.v1',
    edge: tree.edge.map((hash) => (hash === undefined ? '' : encodeBase64(hash))),
    tallies: Object.fromEntries(tallies),
  };
  await state.put(keyOf(span), JSON.stringify(document), { ifAbsent: true });
}
