/** How far a grant's entries in the log have been counted, as kept between statements. */
import { z } from 'zod';
import { decodeStored } from '../../repository/documents.ts';
import type { StateStore } from '../../storage/types.ts';
import { fromBase64, toBase64 } from '../log/bytes.ts';
import { type Count, emptyCount } from './count.ts';
import { monthSchema } from './schema.ts';

const number = z.int().nonnegative();

/** `statements/<grant>.json`. It can be counted again at any time: losing it loses nothing. */
const progressSchema = z.strictObject({
  schema: z.literal('edgewise.statement-progress.v1'),
  /** Tags that were looked for, and the last month that they are of. */
  tags: z.array(z.string()),
  until: monthSchema,
  size: number,
  /** Of the tree of `size` entries, in base64; empty where it has no such subtree. */
  edge: z.array(z.string()),
  tallies: z.record(
    z.string(),
    z.strictObject({ entries: number, units: number, first: number, last: number }),
  ),
});

/** The tags of a meter, by month. */
export type MonthlyTags = ReadonlyMap<string, readonly string[]>;

export interface Progress {
  readonly count: Count;
  /** Of the stored document; undefined where there is none. */
  readonly etag: string | undefined;
}

function keyOf(grant: string): string {
  return `statements/${grant}.json`;
}

/**
 * Begins again where a tag was not looked for whose entries may have gone by: a key that tags are made with came in while
 * another part of the service counted without it.
 */
export async function readProgress(state: StateStore, grant: string, wanted: MonthlyTags): Promise<Progress> {
  const stored = await state.get(keyOf(grant));
  if (stored === undefined) return { count: emptyCount, etag: undefined };
  const { tags, until, size, edge, tallies } = decodeStored(
    progressSchema,
    stored.value,
    `what was counted of grant ${grant}`,
  );
  const known = new Set(tags);
  const isWhole = [...wanted].every(
    ([month, ofMonth]) => month > until || ofMonth.every((tag) => known.has(tag)),
  );
  if (!isWhole) return { count: emptyCount, etag: stored.etag };
  const nodes = edge.map((hash) => (hash === '' ? undefined : fromBase64(hash, 'hash of what was counted')));
  return {
    count: { tree: { size, edge: nodes }, tallies: new Map(Object.entries(tallies)) },
    etag: stored.etag,
  };
}

/** Who was faster has counted the same. */
export async function keepProgress(
  state: StateStore,
  grant: string,
  { count, etag }: Progress,
  wanted: MonthlyTags,
): Promise<void> {
  const document: z.input<typeof progressSchema> = {
    schema: 'edgewise.statement-progress.v1',
    tags: [...wanted.values()].flat(),
    until: [...wanted.keys()].sort().at(-1) ?? '',
    size: count.tree.size,
    edge: count.tree.edge.map((hash) => (hash === undefined ? '' : toBase64(hash))),
    tallies: Object.fromEntries(count.tallies),
  };
  const condition = etag === undefined ? { ifAbsent: true as const } : { ifMatch: etag };
  await state.put(keyOf(grant), JSON.stringify(document), condition);
}
