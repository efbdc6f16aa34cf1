/** Statements of grants, counted from the log's own files, from where the last one ended. */
import { base64url } from 'jose';
import { EdgewiseError } from '../../errors.ts';
import type { StateStore } from '../../storage/types.ts';
import type { Grant } from '../accounts/schema.ts';
import { openCheckpoint } from '../log/checkpoint.ts';
import { parseVerifierKey } from '../log/note.ts';
import { checkpointPath, type ReadFile, tileWidth } from '../log/tiles.ts';
import type { SigningKey } from '../receipt/keys.ts';
import { type MeterTagger, monthOf } from '../receipt/meter-tag.ts';
import { countTo, emptyCount } from './count.ts';
import { keepProgress, type MonthlyTags, readProgress } from './progress.ts';
import { monthSchema } from './schema.ts';
import { signStatement, statementOf } from './statement.ts';
import { requireRoot } from './verify.ts';

export interface StatementsOptions {
  readonly issuer: string;
  readonly signing: SigningKey;
  readonly tagger: MeterTagger;
  /** Verifier key of the log. */
  readonly logKey: string;
  /** Reads the log's files. */
  readonly read: ReadFile;
  /** Where it is kept how far was counted. */
  readonly state: StateStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Entries that one call counts, 256 at least. Default 131,072: about a second. */
  readonly maxEntries?: number | undefined;
}

export interface Statements {
  /**
   * The signed statement of a grant's month, as of the log's latest checkpoint: a compact JWS.
   *
   * @param month `2026-11`
   * @throws EdgewiseError `invalid_request` for a month before the grant or after this one; `not_found` where the log is
   * empty; `records_unavailable` while the log is still being counted: each call goes on where the last one ended.
   */
  of(tenant: string, grant: Grant, month: string): Promise<string>;
}

const defaultMaxEntries = 512 * 256;

export function createStatements(options: StatementsOptions): Statements {
  const { issuer, signing, tagger, read, state, now, maxEntries = defaultMaxEntries } = options;
  const verifier = parseVerifierKey(options.logKey);
  // Whoever asks for a statement hears of it.
  verifier.catch(() => {});

  async function tagsOf(meter: string, months: readonly string[]): Promise<MonthlyTags> {
    const tags = await Promise.all(months.map((month) => tagger.tags(meter, month)));
    return new Map(months.map((month, at) => [month, (tags[at] ?? []).map((tag) => base64url.encode(tag))]));
  }

  return {
    async of(tenant, grant, month) {
      const nowMs = now();
      const { first, last } = monthsOf(grant, nowMs);
      requireMonth(month, first, last, grant.id);
      const log = await verifier;
      const checkpoint = await latestCheckpoint(read);
      const opened = await openCheckpoint(checkpoint, log);
      // Clocks of isolates may be ahead of this one.
      const tags = await tagsOf(`grant:${grant.id}`, monthsBetween(first, next(last)));
      const before = await readProgress(state, grant.id, tags);
      const counted = before.count.tree.size;
      if (counted > opened.size) throw behind(grant.id, counted, opened.size);
      const upTo = Math.min(opened.size, wholeBundles(counted + maxEntries));
      const count = await countTo(before.count, upTo, read, new Set([...tags.values()].flat()));
      if (upTo === opened.size) {
        try {
          await requireRoot(count, opened, log.name);
        } catch (error) {
          // What was kept may be what is wrong: the next call reads all files again.
          await keepProgress(state, grant.id, { count: emptyCount, etag: before.etag }, tags);
          throw error;
        }
      }
      if (upTo > counted) await keepProgress(state, grant.id, { count, etag: before.etag }, tags);
      if (upTo < opened.size) throw behind(grant.id, upTo, opened.size);
      const facts = { issuer, log: log.name, nowMs, tenant, grant, month, count, checkpoint };
      return signStatement(statementOf({ ...facts, tags: tags.get(month) ?? [] }), signing);
    },
  };
}

/** Nothing was used of a grant before it was given: a month earlier is for clocks that are behind. */
function monthsOf({ createdAt }: Grant, nowMs: number): { readonly first: string; readonly last: string } {
  return { first: previous(monthOf(Date.parse(createdAt))), last: monthOf(nowMs) };
}

function requireMonth(month: string, first: string, last: string, grant: string): void {
  if (monthSchema.safeParse(month).success && month >= first && month <= last) return;
  throw new EdgewiseError(
    'invalid_request',
    `there is no statement of grant ${grant} for ${JSON.stringify(month.slice(0, 20))}, wanted a month from ${first} to ${last}`,
  );
}

async function latestCheckpoint(read: ReadFile): Promise<string> {
  const bytes = await read(checkpointPath);
  if (bytes === undefined) {
    throw new EdgewiseError('not_found', 'there is no statement yet: the log is empty');
  }
  return new TextDecoder().decode(bytes);
}

/** A bundle that is not full is there only as wide as the tree of some checkpoint has it. */
function wholeBundles(entries: number): number {
  return Math.floor(entries / tileWidth) * tileWidth;
}

function behind(grant: string, counted: number, size: number): EdgewiseError {
  return new EdgewiseError(
    'records_unavailable',
    `the statement of grant ${grant} is being counted: ${counted} of ${size} entries so far, ask again`,
    { retryAfterSeconds: 1 },
  );
}

function monthsBetween(first: string, last: string): string[] {
  const months: string[] = [];
  for (let month = first; month <= last; month = next(month)) months.push(month);
  return months;
}

function next(month: string): string {
  return shifted(month, 1);
}

function previous(month: string): string {
  return shifted(month, -1);
}

function shifted(month: string, by: number): string {
  const at = new Date(`${month}-01T00:00:00Z`);
  return monthOf(at.setUTCMonth(at.getUTCMonth() + by));
}
