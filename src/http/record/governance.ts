/** What an edge puts its answers on record with. An origin has none of this: edges call it, and they keep the records. */
import type { GrantRevisions } from '../../governance/accounts/grant-revisions.ts';
import type { LazyRecord, LogAppender } from '../../governance/log/appender.ts';
import { encodeEntry, entryBytes } from '../../governance/log/entry.ts';
import type { LogRecord, ReceiptLog } from '../../governance/log/types.ts';
import type { SignedPack } from '../../governance/policy/packs.ts';
import type { Stops } from '../../governance/policy/stops.ts';
import type { Meters } from '../../governance/quota/types.ts';
import type { IssuedReceipt, ReceiptIssuer } from '../../governance/receipt/issue.ts';
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
  /** Gathers the receipts of this isolate into batches for the log. */
  readonly appender: LogAppender;
  readonly defer: Defer;
  readonly logger: Logger;
}

/** Returns the log's record of a receipt: its entry, and the sealed text, which is absent for an erased tenant. */
export async function logRecord({ vault }: Governance, issued: IssuedReceipt): Promise<LogRecord> {
  const [entry, sealed] = await Promise.all([issued.entry(), sealReceipt(vault, issued, issued.compact)]);
  return { id: issued.id, entry: encodeEntry(entry), sealed };
}

/** Puts a receipt on record after the answer. Its holder can hand it in again should this isolate die before that. */
export function recordBehindAnswer(governance: Governance, issued: IssuedReceipt): void {
  governance.defer(addToLog(governance, issued));
}

async function addToLog(governance: Governance, issued: IssuedReceipt): Promise<void> {
  const { appender, logger } = governance;
  try {
    const seal = await receiptSealer(governance.vault, issued).catch(logSealFailure(governance));
    await appender.add(dueRecord(governance, issued, seal));
  } catch (cause) {
    logger.write({ level: 'error', event: 'receipt_not_recorded', cause });
  }
}

function dueRecord(governance: Governance, issued: IssuedReceipt, seal: SealReceipt | undefined): LazyRecord {
  const { id, compact } = issued;
  return {
    byteLength: entryBytes + sealedReceiptOverheadBytes + compact.length,
    async make() {
      const entry = encodeEntry(await issued.entry());
      return { id, entry, sealed: await seal?.(compact).catch(logSealFailure(governance)) };
    },
  };
}

/** Logs that the text of a receipt could not be sealed. The receipt is on record without its text, which the caller has. */
function logSealFailure({ logger }: Governance): (cause: unknown) => undefined {
  return (cause) => {
    logger.write({ level: 'error', event: 'receipt_not_kept', cause });
    return undefined;
  };
}
