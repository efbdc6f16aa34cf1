/**
 * Verifies a statement by counting again, from the log's files and public keys alone. The entries are the log's if they hash
 * to the signed root. Only the tags of the grant remain to be trusted, and receipts of the grant can confirm them.
 */
import { equalBytes, toHex } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { type OpenedCheckpoint, openCheckpoint, requireQuorum } from '../log/checkpoint.ts';
import { receiptHashOf } from '../log/entry.ts';
import { rootOf } from '../log/merkle.ts';
import type { NoteVerifier } from '../log/note.ts';
import type { ReadFile } from '../log/tiles.ts';
import type { VerifyingKeys } from '../receipt/keys.ts';
import { readReceipt } from '../receipt/read.ts';
import { type Count, countTo, emptyCount, type Tally } from './count.ts';
import { multiply } from './decimal.ts';
import type { Statement } from './schema.ts';
import { readStatement, sumTags } from './statement.ts';

export interface StatementEvidence {
  /** Compact JWS. */
  readonly statement: string;
  /** The server's public keys. */
  readonly keys: VerifyingKeys;
  readonly log: NoteVerifier;
  /** Reads the log's files. */
  readonly read: ReadFile;
  readonly witnesses?: readonly NoteVerifier[] | undefined;
  /** How many of the witnesses must have cosigned. Default: all of them. */
  readonly quorum?: number | undefined;
  /** Receipts to look for, each a compact JWS. Those of the grant and month must be among the counted entries. */
  readonly receipts?: readonly string[] | undefined;
}

export interface StatementVerification {
  readonly statement: Statement;
  /** The sums from the log. */
  readonly counted: Pick<Tally, 'entries' | 'units'> & { readonly amount: string | undefined };
  /** Where the statement differs from the log or from a receipt; empty if it is correct. */
  readonly differences: readonly string[];
  /** Names of the witnesses that cosigned the checkpoint. */
  readonly witnesses: readonly string[];
  /** Number of given receipts of the grant and the month. */
  readonly receipts: number;
}

/**
 * @throws EdgewiseError `invalid_request` for a malformed statement, receipt or entry; `signature_invalid` if a signature is
 * wrong or too few witnesses cosigned; `not_found` or `digest_mismatch` if the files are not those of the checkpoint.
 */
export async function verifyStatement(evidence: StatementEvidence): Promise<StatementVerification> {
  const { keys, log, read, receipts = [] } = evidence;
  const statement = await readStatement(evidence.statement, keys);
  const opened = await openStatementCheckpoint(statement, evidence);
  const hashes = new Set<string>();
  const tags = new Set(statement.tags);
  const count = await countTo(emptyCount, opened.size, read, tags, ({ receiptHash }) => {
    if (receipts.length > 0) hashes.add(toHex(receiptHash));
  });
  requireRoot(count, opened, log.name);
  const own = await selectReceipts(statement, receipts, keys);
  const sum = sumTags(count, statement.tags);
  const { royalty } = statement;
  const amount = royalty && multiply(royalty.amount, sum.units);
  return {
    statement,
    counted: { entries: sum.entries, units: sum.units, amount },
    differences: [
      ...compareField('size', statement.size, opened.size),
      ...compareField('entries', statement.entries, sum.entries),
      ...compareField('units', statement.units, sum.units),
      ...compareField('first', statement.first, sum.entries === 0 ? undefined : sum.first),
      ...compareField('last', statement.last, sum.entries === 0 ? undefined : sum.last),
      ...compareField('amount', statement.amount, amount),
      ...own.flatMap(({ id, tag, hash }) => findMissing({ id, tag, hash }, tags, hashes)),
    ],
    witnesses: opened.witnesses.map(({ name }) => name),
    receipts: own.length,
  };
}

async function openStatementCheckpoint(
  { checkpoint, log: origin }: Statement,
  { log, witnesses = [], quorum = witnesses.length }: StatementEvidence,
): Promise<OpenedCheckpoint<NoteVerifier>> {
  const opened = await openCheckpoint(checkpoint, log, witnesses);
  if (origin !== opened.origin) {
    throw new EdgewiseError(
      'signature_invalid',
      `the statement is of the log ${origin}, but its checkpoint is of ${opened.origin}`,
    );
  }
  requireQuorum(opened, quorum);
  return opened;
}

/** @throws EdgewiseError `digest_mismatch` if the counted entries do not have the root of the checkpoint. */
export function requireRoot(
  { tree }: Count,
  { size, root }: { readonly size: number; readonly root: Uint8Array },
  log: string,
): void {
  if (!equalBytes(rootOf(tree), root)) {
    throw new EdgewiseError(
      'digest_mismatch',
      `the ${size} entries that were read are not those of the log ${log}: their root is not the root of its checkpoint`,
    );
  }
}

/** A given receipt that is of the grant and the month. */
interface OwnReceipt {
  readonly id: string;
  readonly tag: string;
  readonly hash: string;
}

async function selectReceipts(
  { grant, month }: Statement,
  receipts: readonly string[],
  keys: VerifyingKeys,
): Promise<OwnReceipt[]> {
  const own: OwnReceipt[] = [];
  for (const compact of receipts) {
    const { receipt } = await readReceipt(compact, keys);
    if (receipt.kind !== 'inference' || receipt.decision.grant?.id !== grant.id) continue;
    if (!receipt.at.startsWith(`${month}-`)) continue;
    own.push({ id: receipt.id, tag: receipt.meter.tag, hash: toHex(await receiptHashOf(compact)) });
  }
  return own;
}

/** Returns what is missing as a list of at most one difference. */
function findMissing(
  { id, tag, hash }: OwnReceipt,
  tags: ReadonlySet<string>,
  hashes: ReadonlySet<string>,
): readonly string[] {
  if (!tags.has(tag)) return [`receipt ${id} is of the grant and month, but its tag ${tag} is not counted`];
  return hashes.has(hash) ? [] : [`receipt ${id} is of the grant and month, but not among the entries`];
}

function compareField(
  field: string,
  said: number | string | undefined,
  counted: number | string | undefined,
): readonly string[] {
  return said === counted
    ? []
    : [`${field}: the statement says ${said ?? 'none'}, the log ${counted ?? 'none'}`];
}
