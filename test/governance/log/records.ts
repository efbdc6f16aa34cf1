import { utf8 } from '../../../src/bytes.ts';
import { encodeEntry, entryOf, receiptHashOf } from '../../../src/governance/log/entry.ts';
import { parseVerifierKey } from '../../../src/governance/log/note-keys.ts';
import type { ProofPolicy } from '../../../src/governance/log/proof.ts';
import type { LogRecord } from '../../../src/governance/log/types.ts';
import { testLogVerifierKey, testWitnesses } from '../../support/governance-keys.ts';

/** Stands in for the compact JWS of receipt number `n`. */
export const receiptText = (n: number) => `header.receipt-${n}.signature`;
export const hashOf = (n: number) => receiptHashOf(receiptText(n));
export const idOf = (n: number) => `rc_${n}`;
export const sealedOf = (n: number) => utf8(`sealed receipt ${n}`);

export async function recordOf(n: number): Promise<LogRecord> {
  const entry = encodeEntry(await entryOf(receiptText(n), new Uint8Array(16).fill(n % 7), 1));
  // Every third record has no receipt to keep.
  return n % 3 === 2 ? { id: idOf(n), entry } : { id: idOf(n), entry, sealed: sealedOf(n) };
}

/** Returns the records from `from` to `to`, exclusive. */
export function recordsOf(from: number, to: number): Promise<LogRecord[]> {
  return Promise.all(Array.from({ length: to - from }, (_, at) => recordOf(from + at)));
}

export async function testPolicy(): Promise<ProofPolicy> {
  return {
    log: await parseVerifierKey(testLogVerifierKey),
    witnesses: await Promise.all(testWitnesses.map(({ verifierKey }) => parseVerifierKey(verifierKey))),
  };
}
