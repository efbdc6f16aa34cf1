/** Composes the governance services of an edge. */
import type { Clock } from '../async/clock.ts';
import { createGrantRevisions } from '../governance/accounts/grant-revisions.ts';
import { BatchingAppender } from '../governance/log/appender.ts';
import type { ReceiptLog } from '../governance/log/types.ts';
import type { SignedPack } from '../governance/policy/packs.ts';
import { Stops } from '../governance/policy/stops.ts';
import { LeaseBook } from '../governance/quota/lease-book.ts';
import type { ExchangeUnits } from '../governance/quota/lease-exchange.ts';
import { createReceiptIssuer } from '../governance/receipt/issue.ts';
import { createFinalStatements } from '../governance/statement/final-statements.ts';
import { createStatements } from '../governance/statement/statements.ts';
import { Vault } from '../governance/vault/vault.ts';
import type { Governance } from '../http/record/governance.ts';
import type { Defer, StateStore } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { GovernanceKeys } from './governance-config.ts';
import { serverVersion } from './server-config.ts';

/** The parts that differ between platforms. */
export interface GovernanceParts {
  readonly keys: GovernanceKeys;
  readonly packs: readonly SignedPack[];
  readonly receipts: ReceiptLog;
  /** Takes units of quotas from their meters. */
  readonly units: ExchangeUnits;
}

export interface GovernanceSurroundings {
  /** Store of accounts and of the vault's keys. */
  readonly records: StateStore;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly defer: Defer;
  readonly logger: Logger;
}

export function createGovernance(
  { keys, packs, receipts, units }: GovernanceParts,
  { records, clock, now, defer, logger }: GovernanceSurroundings,
): Governance {
  const statements = createStatements({
    issuer: keys.issuer,
    signing: keys.ring.signing,
    tagger: keys.tagger,
    logKey: keys.log.verifierKey,
    read: (path) => receipts.readFile(path),
    state: records,
    now,
  });
  return {
    now,
    issuer: createReceiptIssuer({
      signing: keys.ring.signing,
      issuer: keys.issuer,
      log: keys.log.origin,
      code: serverVersion,
      meters: keys.tagger,
    }),
    ring: keys.ring,
    tagger: keys.tagger,
    packs,
    stops: new Stops({ state: records, clock, defer, now }),
    meters: new LeaseBook({ exchange: units, clock, defer, name: () => crypto.randomUUID() }),
    statements,
    finalStatements: createFinalStatements({ state: records, statements, now }),
    grantRevisions: createGrantRevisions({
      state: records,
      signing: keys.ring.signing,
      issuer: keys.issuer,
      now,
    }),
    vault: new Vault({ state: records, keys: keys.records, clock, now }),
    receipts,
    logKey: keys.log,
    appender: new BatchingAppender({ log: receipts, clock }),
    defer,
    logger,
  };
}
