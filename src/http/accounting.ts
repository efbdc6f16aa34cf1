/** What an edge accounts for its answers with. An origin has none of it: it answers to edges alone. */
import type { LogAppender } from '../governance/log/appender.ts';
import { encodeEntry } from '../governance/log/entry.ts';
import type { LogRecord, ReceiptLog } from '../governance/log/types.ts';
import type { SignedPack } from '../governance/policy/packs.ts';
import type { Stops } from '../governance/policy/stops.ts';
import type { Meters } from '../governance/quota/types.ts';
import type { Issued, ReceiptIssuer } from '../governance/receipt/issue.ts';
import type { KeyRing } from '../governance/receipt/keys.ts';
import type { MeterTagger } from '../governance/receipt/meter-tag.ts';
import type { Statements } from '../governance/statement/statements.ts';
import { sealReceipt } from '../governance/vault/sealed-receipt.ts';
import type { Vault } from '../governance/vault/vault.ts';
import type { Defer } from '../storage/types.ts';
import type { Log } from '../telemetry/log.ts';

export interface Accounting {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly issuer: ReceiptIssuer;
  readonly ring: KeyRing;
  readonly tagger: MeterTagger;
  readonly packs: readonly SignedPack[];
  readonly stops: Stops;
  readonly meters: Meters;
  readonly statements: Statements;
  readonly vault: Vault;
  readonly receipts: ReceiptLog;
  /** The log's name, and the key that its checkpoints are verified with. */
  readonly logKey: { readonly origin: string; readonly verifierKey: string };
  /** Gathers what this isolate puts on record. */
  readonly appender: LogAppender;
  readonly defer: Defer;
  readonly log: Log;
}

/** What the log is given of a receipt, and is to keep of it: nothing for a tenant that was erased. */
export async function logRecord({ vault }: Accounting, issued: Issued): Promise<LogRecord> {
  const [entry, sealed] = await Promise.all([issued.entry(), sealReceipt(vault, issued, issued.compact)]);
  return { id: issued.id, entry: encodeEntry(entry), sealed };
}

/** Puts a receipt on record behind the answer: who holds it can hand it in again, should this isolate die before. */
export function record(accounting: Accounting, issued: Issued): void {
  accounting.defer(recorded(accounting, issued));
}

async function recorded(accounting: Accounting, issued: Issued): Promise<void> {
  const { appender, log } = accounting;
  // Hashing and sealing take as long as signing did, and the answer is to leave before.
  await nextTurn();
  try {
    await appender.add(await unsealedAtWorst(accounting, issued));
  } catch (cause) {
    log.write({ level: 'error', event: 'receipt_not_recorded', cause });
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** That it happened is on record also where its text cannot be kept now: its caller has that. */
async function unsealedAtWorst(accounting: Accounting, issued: Issued): Promise<LogRecord> {
  try {
    return await logRecord(accounting, issued);
  } catch (cause) {
    accounting.log.write({ level: 'error', event: 'receipt_not_kept', cause });
    return { id: issued.id, entry: encodeEntry(await issued.entry()) };
  }
}
