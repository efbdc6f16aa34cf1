/**
 * Adds a statement up again. It takes the log's files and public keys, and nothing of the server's: the entries are the
 * log's where they hash to the signed root; what is left to believe is which tags are the grant's, and receipts of it show
 * that as far as one has some.
 */
import { equalBytes, toHex } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { type OpenedCheckpoint, openCheckpoint } from '../log/checkpoint.ts';
import { receiptHashOf } from '../log/entry.ts';
import { rootOf } from '../log/merkle.ts';
import type { NoteVerifier } from '../log/note.ts';
import type { ReadFile } from '../log/tiles.ts';
import type { VerifyingKeys } from '../receipt/keys.ts';
import { readReceipt } from '../receipt/read.ts';
import { type Count, countTo, emptyCount, type Tally } from './count.ts';
import { times } from './decimal.ts';
import type { Statement } from './schema.ts';
import { readStatement, sumOf } from './statement.ts';

export interface StatementEvidence {
  /** Compact JWS. */
  readonly statement: string;
  /** Of the server: what it signs with. */
  readonly keys: VerifyingKeys;
  readonly log: NoteVerifier;
  /** Reads the log's files. */
  readonly read: ReadFile;
  readonly witnesses?: readonly NoteVerifier[] | undefined;
  /** How many of the witnesses must have cosigned. Default: all of them. */
  readonly quorum?: number | undefined;
  /** Receipts that one holds, each a compact JWS: those of the grant and month have to be in it. */
  readonly receipts?: readonly string[] | undefined;
}

export interface StatementVerification {
  readonly statement: Statement;
  /** What the log adds up to. */
  readonly counted: Pick<Tally, 'entries' | 'units'> & { readonly amount: string | undefined };
  /** What the statement says that the log, or a receipt, does not; empty where it is right. */
  readonly differences: readonly string[];
  /** Names of the witnesses that cosigned the checkpoint. */
  readonly witnesses: readonly string[];
  /** Receipts given that are of the grant and the month. */
  readonly receipts: number;
}

/**
 * @throws EdgewiseError `invalid_request` for what is no statement, receipt or entry; `signature_invalid` where a signature
 * or the quorum does not hold; `not_found` and `digest_mismatch` where the files given are not the log of the checkpoint.
 */
export async function verifyStatement(evidence: StatementEvidence): Promise<StatementVerification> {
  const { keys, log, read, receipts = [] } = evidence;
  const statement = await readStatement(evidence.statement, keys);
  const opened = await checkpointOf(statement, evidence);
  const hashes = new Set<string>();
  const tags = new Set(statement.tags);
  const count = await countTo(emptyCount, opened.size, read, tags, ({ receiptHash }) => {
    if (receipts.length > 0) hashes.add(toHex(receiptHash));
  });
  await requireRoot(count, opened, log.name);
  const own = await ownReceipts(statement, receipts, keys);
  const sum = sumOf(count, statement.tags);
  const { royalty } = statement;
  const amount = royalty && times(royalty.amount, sum.units);
  return {
    statement,
    counted: { entries: sum.entries, units: sum.units, amount },
    differences: [
      ...unlike('size', statement.size, opened.size),
      ...unlike('entries', statement.entries, sum.entries),
      ...unlike('units', statement.units, sum.units),
      ...unlike('first', statement.first, sum.entries === 0 ? undefined : sum.first),
      ...unlike('last', statement.last, sum.entries === 0 ? undefined : sum.last),
      ...unlike('amount', statement.amount, amount),
      ...own.flatMap(({ id, tag, hash }) => missingReceipt({ id, tag, hash }, tags, hashes)),
    ],
    witnesses: opened.witnesses.map(({ name }) => name),
    receipts: own.length,
  };
}

async function checkpointOf(
  { checkpoint, log: origin }: Statement,
  { log, witnesses = [], quorum = witnesses.length }: StatementEvidence,
): Promise<OpenedCheckpoint<NoteVerifier>> {
  const opened = await openCheckpoint(checkpoint, log, witnesses);
  if (origin !== opened.origin) {
    throw new EdgewiseError(
      'signature_invalid',
      `the statement is of the log ${origin}, its checkpoint of ${opened.origin}`,
    );
  }
  if (opened.witnesses.length < quorum) {
    throw new EdgewiseError(
      'signature_invalid',
      `checkpoint of size ${opened.size} is cosigned by ${opened.witnesses.length} of the known witnesses, wanted ${quorum}`,
    );
  }
  return opened;
}

/** @throws EdgewiseError `digest_mismatch` where what was counted is not the log that the checkpoint stands for. */
export async function requireRoot(
  { tree }: Count,
  { size, root }: { readonly size: number; readonly root: Uint8Array },
  log: string,
): Promise<void> {
  if (!equalBytes(rootOf(tree), root)) {
    throw new EdgewiseError(
      'digest_mismatch',
      `the ${size} entries that were read are not those of ${log}: they do not hash to the root of its checkpoint`,
    );
  }
}

interface OwnReceipt {
  readonly id: string;
  readonly tag: string;
  readonly hash: string;
}

async function ownReceipts(
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

function missingReceipt(
  { id, tag, hash }: OwnReceipt,
  tags: ReadonlySet<string>,
  hashes: ReadonlySet<string>,
) {
  if (!tags.has(tag)) return [`receipt ${id} is of the grant and month, and its tag ${tag} is left out`];
  return hashes.has(hash) ? [] : [`receipt ${id} is of the grant and month, and not among the entries`];
}

function unlike(field: string, said: number | string | undefined, counted: number | string | undefined) {
  return said === counted
    ? []
    : [`${field}: the statement says ${said ?? 'none'}, the log ${counted ?? 'none'}`];
}
