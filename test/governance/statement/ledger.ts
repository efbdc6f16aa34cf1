/** A log with receipts of several grants, from which tests issue statements. */
import type { Bytes } from '../../../src/bytes.ts';
import { encodeEntry } from '../../../src/governance/log/entry.ts';
import { parseVerifierKey } from '../../../src/governance/log/note-keys.ts';
import type { KeyRing } from '../../../src/governance/receipt/keys.ts';
import { createMeterTagger } from '../../../src/governance/receipt/meter-tag.ts';
import { createStatements, type Statements } from '../../../src/governance/statement/statements.ts';
import type { StatementEvidence } from '../../../src/governance/statement/verify.ts';
import type { StateStore } from '../../../src/storage/types.ts';
import { ManualClock } from '../../support/clock.ts';
import {
  testLogKey,
  testLogVerifierKey,
  testRecordsKeys,
  testWitnesses,
} from '../../support/governance-keys.ts';
import { type MemoryLog, memoryLog } from '../../support/memory-log.ts';
import { memoryStateStore } from '../../support/memory-stores.ts';
import { inferenceFacts, permit, testIssuer } from '../receipt/facts.ts';

export const november = Date.UTC(2026, 10, 24);
export const december = Date.UTC(2026, 11, 3);

export interface Use {
  readonly grant: string;
  readonly units: number;
  readonly atMs?: number;
}

export interface Ledger {
  readonly log: MemoryLog;
  readonly ring: KeyRing;
  /** Issues receipts, appends them to the log and publishes a checkpoint. */
  use(uses: readonly Use[]): Promise<string[]>;
  /** Appends entries without receipts, which is faster. */
  fill(count: number, of: (n: number) => Use): Promise<void>;
  /** Issues a receipt that is not in the log. */
  receipt(use: Use): Promise<string>;
  statements(options?: {
    readonly state?: StateStore;
    readonly maxNewSpans?: number;
    readonly nowMs?: number;
  }): Statements;
  evidence(statement: string): Promise<StatementEvidence>;
}

export async function newLedger(): Promise<Ledger> {
  const { issuer, ring } = await testIssuer();
  const tagger = await createMeterTagger(testRecordsKeys.split(','));
  const witnesses = testWitnesses.map(({ verifierKey }) => verifierKey).join(',');
  const log = await memoryLog({ clock: new ManualClock(), logKey: testLogKey, witnesses });
  const read = (path: string) => log.readFile(path);

  const issue = ({ grant, units, atMs = november }: Use) =>
    issuer.inference({
      ...inferenceFacts,
      decision: { ...permit, grant: permit.grant && { ...permit.grant, id: grant } },
      meter: `grant:${grant}`,
      units,
      atMs,
    });

  return {
    log,
    ring,
    async use(uses) {
      const issued = await Promise.all(uses.map(issue));
      const records = issued.map(async (one) => ({ id: one.id, entry: encodeEntry(await one.entry()) }));
      await log.append(await Promise.all(records));
      await log.flush();
      return issued.map(({ compact }) => compact);
    },
    async fill(count, of) {
      const records = Array.from({ length: count }, async (_, n) => {
        const { grant, units, atMs = november } = of(n);
        const receiptHash = new Uint8Array(32);
        new DataView(receiptHash.buffer).setUint32(0, n + 1);
        const meterTag = await tagger.tag(`grant:${grant}`, atMs);
        return { id: `filled-${n}`, entry: encodeEntry({ receiptHash, meterTag, units }) };
      });
      await log.append(await Promise.all(records));
      await log.flush();
    },
    receipt: async (use) => (await issue(use)).compact,
    statements: ({ state = memoryStateStore(), maxNewSpans, nowMs = december } = {}) =>
      createStatements({
        issuer: 'https://models.example',
        signing: ring.signing,
        tagger,
        logKey: testLogVerifierKey,
        read,
        state,
        now: () => nowMs,
        maxNewSpans,
      }),
    evidence: async (statement) => ({
      statement,
      keys: ring.verifying,
      log: await parseVerifierKey(testLogVerifierKey),
      read,
    }),
  };
}

/** Replaces one of the log's files. */
export function withFile(
  { read, ...evidence }: StatementEvidence,
  path: string,
  change: (bytes: Bytes) => Bytes | undefined,
): StatementEvidence {
  return {
    ...evidence,
    async read(asked) {
      const bytes = await read(asked);
      return asked === path && bytes !== undefined ? change(new Uint8Array(bytes)) : bytes;
    },
  };
}
