/** Creates vaults of several isolates over one store. */
import { randomBytes } from 'node:crypto';
import { importRecordsKeys, type RecordsKeys } from '../../../src/governance/vault/records-keys.ts';
import { Vault } from '../../../src/governance/vault/vault.ts';
import type { StateStore } from '../../../src/storage/types.ts';
import { ManualClock } from '../../support/clock.ts';
import { memoryStateStore } from '../../support/memory-stores.ts';

/** 2026-11-24T12:00:00Z */
export const noon = Date.UTC(2026, 10, 24, 12);

export interface Isolates {
  readonly state: StateStore;
  readonly clock: ManualClock;
  isolate(keys: RecordsKeys, state?: StateStore): Vault;
}

export function isolates(): Isolates {
  const state = memoryStateStore();
  const clock = new ManualClock();
  return {
    state,
    clock,
    isolate: (keys, over = state) => new Vault({ state: over, keys, clock, now: () => noon + clock.now() }),
  };
}

export function newRecordsKeyText(): string {
  return randomBytes(32).toString('base64url');
}

export function newRecordsKeys(count = 1): Promise<RecordsKeys> {
  return importRecordsKeys(Array.from({ length: count }, newRecordsKeyText));
}

export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(text));
}

export function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes && new TextDecoder().decode(bytes);
}
