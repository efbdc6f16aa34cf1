/** Issues statements of grants, counted from the log's files. */
import { base64url } from 'jose';
import { EdgewiseError } from '../../errors.ts';
import type { StateStore } from '../../storage/types.ts';
import type { Grant } from '../accounts/schema.ts';
import { openCheckpoint } from '../log/checkpoint.ts';
import { parseVerifierKey } from '../log/note-keys.ts';
import { checkpointPath, type ReadFile } from '../log/tiles.ts';
import type { ServerSigningKey } from '../receipt/keys.ts';
import { type MeterTagger, monthOf } from '../receipt/meter-tag.ts';
import { countTo } from './count.ts';
import { monthSchema } from './schema.ts';
import { countSpans, forgetSpans, spanEntries } from './spans.ts';
import { composeStatement, signStatement } from './statement.ts';
import { requireRoot } from './verify.ts';

export interface StatementsOptions {
  readonly issuer: string;
  readonly signing: ServerSigningKey;
  readonly tagger: MeterTagger;
  /** Verifier key of the log. */
  readonly logKey: string;
  /** Reads the log's files. */
  readonly read: ReadFile;
  /** Stores the sums of spans, which all statements share. */
  readonly state: StateStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Limit for the spans of 8,192 entries that one call sums; each takes some tenths of a second. Default 4. */
  readonly maxNewSpans?: number | undefined;
}

export interface Statements {
  /**
   * Issues the signed statement of a grant's month, as of the log's latest checkpoint: a compact JWS.
   *
   * @param month Such as `2026-11`.
   * @throws EdgewiseError `invalid_request` for a month before the grant or after the current one; `not_found` if the log is
   * empty; `records_unavailable` while the log is being counted, which each call continues; `digest_mismatch` if the log's
   * files do not match its root.
   */
  issue(tenant: string, grant: Grant, month: string): Promise<string>;
}

export function createStatements(options: StatementsOptions): Statements {
  const { issuer, signing, tagger, read, state, now, maxNewSpans: maxNew = 4 } = options;
  const verifier = parseVerifierKey(options.logKey);
  // A malformed key is reported by `issue`.
  verifier.catch(() => {});

  return {
    async issue(tenant, grant, month) {
      const nowMs = now();
      requireMonth(month, grant, nowMs);
      const log = await verifier;
      const checkpoint = await latestCheckpoint(read);
      const opened = await openCheckpoint(checkpoint, log);
      const tags = (await tagger.tags(`grant:${grant.id}`, month)).map((tag) => base64url.encode(tag));
      const tagSet = new Set(tags);
      const spans = await countSpans({ state, read, maxNew }, opened.size, tagSet);
      if (opened.size - spans.tree.size >= spanEntries) throw stillCounting(spans.tree.size, opened.size);
      const count = await countTo(spans, opened.size, read, tagSet);
      try {
        requireRoot(count, opened, log.name);
      } catch (error) {
        await forgetSpans(state);
        throw error;
      }
      const facts = { issuer, log: log.name, nowMs, tenant, grant, month, tags, count, checkpoint };
      return signStatement(composeStatement(facts), signing);
    },
  };
}

/** A grant is not used before it is created. The month before is allowed for clocks that are behind. */
function requireMonth(month: string, { id, createdAt }: Grant, nowMs: number): void {
  const first = monthBefore(createdAt);
  const last = monthOf(nowMs);
  if (monthSchema.safeParse(month).success && month >= first && month <= last) return;
  throw new EdgewiseError(
    'invalid_request',
    `there is no statement of grant ${id} for ${JSON.stringify(month.slice(0, 20))}; expected a month from ${first} to ${last}`,
  );
}

function monthBefore(time: string): string {
  const at = new Date(time);
  return monthOf(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() - 1));
}

async function latestCheckpoint(read: ReadFile): Promise<string> {
  const bytes = await read(checkpointPath);
  if (bytes === undefined) {
    throw new EdgewiseError('not_found', 'there is no statement yet, because the log is empty');
  }
  return new TextDecoder().decode(bytes);
}

function stillCounting(counted: number, size: number): EdgewiseError {
  return new EdgewiseError(
    'records_unavailable',
    `the log is being counted: ${counted} of ${size} entries so far; repeat the request to continue`,
    { retryAfterSeconds: 1 },
  );
}
