import { describe, expect, it } from 'vitest';
import {
  idOfKept,
  openReceipt,
  receiptSubject,
  receiptTimeMs,
  sealReceipt,
} from '../../../src/governance/vault/sealed-receipt.ts';
import { bytesOf, isolates, newRecordsKeys } from './harness.ts';

const keys = await newRecordsKeys();
const jws = 'eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl';
/** Contains the time 2026-11-24T12:00:00Z. */
const id = '019ab5cb-f200-7abc-8def-0123456789ab';
const other = '019ab5cb-f200-7abc-8def-0123456789ac';

describe('receiptTimeMs()', () => {
  it('returns the time in the id', () => {
    expect(new Date(receiptTimeMs('017f22e2-79b0-7cc3-98c4-dc0c0c07398f')).toISOString()).toBe(
      // The example of RFC 9562, appendix A.6.
      '2022-02-22T19:22:22.000Z',
    );
  });

  it.each(['', 'x', '017f22e2-79b0-4cc3-98c4-dc0c0c07398f'])('refuses %j', (text) => {
    expect(() => receiptTimeMs(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});

describe('sealReceipt() and openReceipt()', () => {
  it('open a receipt for its tenant only', async () => {
    const vault = isolates().isolate(keys);
    const sealed = (await sealReceipt(vault, { id, caller: { tenant: 't42' } }, jws)) ?? bytesOf('');
    expect(await openReceipt(vault, id, sealed, 't42')).toBe(jws);
    expect(await openReceipt(vault, id.toUpperCase(), sealed, 't42')).toBe(jws);
    expect(await openReceipt(vault, id, sealed, 't43')).toBeUndefined();
    expect(await openReceipt(vault, id, sealed)).toBeUndefined();
    await expect(openReceipt(vault, other, sealed, 't42')).rejects.toMatchObject({ code: 'internal' });
  });

  it('store the id in front of the receipt', async () => {
    const vault = isolates().isolate(keys);
    const sealed = (await sealReceipt(vault, { id, caller: { tenant: 't42' } }, jws)) ?? bytesOf('');
    expect(idOfKept(sealed)).toBe(id);
    expect(idOfKept(new Uint8Array([1, ...sealed]).subarray(1))).toBe(id);
    for (const bytes of [bytesOf(''), sealed.slice(1), sealed.slice(0, 15)]) {
      expect(() => idOfKept(bytes)).toThrow(expect.objectContaining({ code: 'internal' }));
    }
    // A receipt in the place of another one does not open.
    const swapped = sealed.slice();
    swapped[15] = (swapped[15] ?? 0) ^ 1;
    await expect(openReceipt(vault, idOfKept(swapped), swapped, 't42')).rejects.toMatchObject({
      code: 'internal',
    });
  });

  it('seal a receipt without a tenant under the month of its id', async () => {
    const vault = isolates().isolate(keys);
    const sealed = (await sealReceipt(vault, { id, caller: {} }, jws)) ?? bytesOf('');
    expect(receiptSubject({ id, caller: {} })).toMatch(/^anonymous\/20\d\d-\d\d$/);
    expect(await openReceipt(vault, id, sealed)).toBe(jws);
    await vault.seal(receiptSubject({ id, caller: { tenant: 't42' } }), bytesOf('x'), 'x');
    expect(await openReceipt(vault, id, sealed, 't42')).toBeUndefined();
  });

  it('neither open nor seal a receipt of an erased tenant', async () => {
    const vault = isolates().isolate(keys);
    const of = { id, caller: { tenant: 't42' } };
    const sealed = (await sealReceipt(vault, of, jws)) ?? bytesOf('');
    await vault.destroy(receiptSubject(of));
    expect(await openReceipt(vault, id, sealed, 't42')).toBeUndefined();
    expect(await sealReceipt(vault, of, jws)).toBeUndefined();
  });
});
