/** What an edge accounts for its answers with. An origin has none of it: it answers to edges alone. */
import type { GrantRevisions } from '../../governance/accounts/grant-revisions.ts';
import type { LazyRecord, LogAppender } from '../../governance/log/appender.ts';
import { encodeEntry, entryBytes } from '../../governance/log/entry.ts';
import type { LogRecord, ReceiptLog } from '../../governance/log/types.ts';
import type { SignedPack } from '../../governance/policy/packs.ts';
import type { Stops } from '../../governance/policy/stops.ts';
import type { Meters } from '../../governance/quota/types.ts';
import type { Issued, ReceiptIssuer } from '../../governance/receipt/issue.ts';
import type { KeyRing } from '../../governance/receipt/keys.ts';
import type { MeterTagger } from '../../governance/receipt/meter-tag.ts';
import type { FinalStatements } from '../../governance/statement/final-statements.ts';
import type { Statements } from '../../governance/statement/statements.ts';
import {
  receiptSealer,
  type SealReceipt,
  sealedReceiptOverheadBytes,
  sealReceipt,
} from '../../governance/vault/sealed-receipt.ts';
import type { Vault } from '../../governance/vault/vault.ts';
import type { Defer } from '../../storage/types.ts';
import type { Logger } from '../../telemetry/logger.ts';

export interface Governance {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly issuer: ReceiptIssuer;
  readonly ring: KeyRing;
  readonly tagger: MeterTagger;
  readonly packs: readonly SignedPack[];
  readonly stops: Stops;
  readonly meters: Meters;
  readonly statements: Statements;
  readonly finalStatements: FinalStatements;
  readonly grantRevisions: GrantRevisions;
  readonly vault: Vault;
  readonly receipts: ReceiptLog;
  /** The log's name, and the key that its checkpoints are verified with. */
  readonly logKey: { readonly origin: string; readonly verifierKey: string };
  /** Gathers what this isolate puts on record. */
  readonly appender: LogAppender;
  readonly defer: Defer;
  readonly logger: Logger;
}

/** What the log is given of a receipt, and is to keep of it: nothing for a tenant that was erased. */
export async function logRecord({ vault }: Governance, issued: Issued): Promise<LogRecord> {
  const [entry, sealed] = await Promise.all([issued.entry(), sealReceipt(vault, issued, issued.compact)]);
  return { id: issued.id, entry: encodeEntry(entry), sealed };
}

/** Puts a receipt on record behind the answer: who holds it can hand it in again, should this isolate die before. */
export function recordBehindAnswer(governance: Governance, issued: Issued): void {
  governance.defer(recorded(governance, issued));
}

async function recorded(governance: Governance, issued: Issued): Promise<void> {
  const { appender, logger } = governance;
  try {
    const seal = sealerOf(governance, issued);
    await appender.add(dueRecord(governance, issued, seal instanceof Promise ? await seal : seal));
  } catch (cause) {
    logger.write({ level: 'error', event: 'receipt_not_recorded', cause });
  }
}

function dueRecord(governance: Governance, issued: Issued, seal: SealReceipt | undefined): LazyRecord {
  const { id, compact } = issued;
  return {
    byteLength: entryBytes + sealedReceiptOverheadBytes + compact.length,
    async make() {
      const entry = encodeEntry(await issued.entry());
      return { id, entry, sealed: await seal?.(compact).catch(notKept(governance)) };
    },
  };
}

function sealerOf(
  governance: Governance,
  issued: Issued,
): SealReceipt | undefined | Promise<SealReceipt | undefined> {
  const seal = receiptSealer(governance.vault, issued);
  return seal instanceof Promise ? seal.catch(notKept(governance)) : seal;
}

/** That it happened is on record also where its text cannot be kept now: its caller has that. */
function notKept({ logger }: Governance): (cause: unknown) => undefined {
  return (cause) => {
    logger.write({ level: 'error', event: 'receipt_not_kept', cause });
    return undefined;
  };
}
