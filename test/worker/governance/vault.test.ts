/** The vault over R2, in workerd. */
import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/async/clock.ts';
import { importRecordsKeys } from '../../../src/governance/vault/records-keys.ts';
import { tenantSubject, vaultKey } from '../../../src/governance/vault/subject.ts';
import { Vault } from '../../../src/governance/vault/vault.ts';
import { r2StateStore } from '../../../src/storage/r2.ts';

const keyText = (byte: number) =>
  btoa(String.fromCharCode(...new Uint8Array(32).fill(byte)))
    .replace(/=+$/, '')
    .replace(/\+/g, '-')
    .replace(/\//g, '_');
const bytes = (text: string) => new Uint8Array(new TextEncoder().encode(text));

async function isolate(...texts: readonly string[]): Promise<Vault> {
  return new Vault({
    state: r2StateStore(env.RECORDS),
    keys: await importRecordsKeys(texts),
    clock: systemClock,
    now: Date.now,
    maxAgeMs: 0,
  });
}

describe('the vault over R2', () => {
  it('opens in one isolate what another sealed, under a key that all made concurrently', async () => {
    const subject = tenantSubject('worker-one');
    const vaults = await Promise.all(Array.from({ length: 6 }, () => isolate(keyText(1))));
    const sealed = await Promise.all(
      vaults.map((vault, at) => vault.seal(subject, bytes(`r${at}`), `${at}`)),
    );
    const reader = await isolate(keyText(1));
    for (const [at, record] of sealed.entries()) {
      if (record === undefined) return expect.fail('not sealed');
      expect(await reader.open(subject, record, `${at}`)).toEqual(bytes(`r${at}`));
      await expect(reader.open(subject, record, 'other')).rejects.toMatchObject({ code: 'internal' });
    }
  });

  it('rotates keys, and destroys them for good: the stored entry has no key', async () => {
    const subject = tenantSubject('worker-two');
    const before = await isolate(keyText(1));
    const record = (await before.seal(subject, bytes('x'), 'r')) ?? bytes('');
    const between = await isolate(keyText(2), keyText(1));
    expect(await between.open(subject, record, 'r')).toEqual(bytes('x'));
    const after = await isolate(keyText(2));
    expect(await after.open(subject, record, 'r')).toEqual(bytes('x'));
    await after.destroy(subject);
    for (const vault of [before, between, after]) {
      expect(await vault.open(subject, record, 'r')).toBeUndefined();
      expect(await vault.seal(subject, bytes('y'), 'r')).toBeUndefined();
    }
    const stored = await (await env.RECORDS.get(vaultKey(subject)))?.text();
    expect(stored).toMatch(/^\{"schema":"edgewise\.vault\.v1","status":"destroyed","destroyedAt":"[^"]+"\}$/);
  });
});
