import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxShortBytes, sha256Of, sha256Sync } from '../../src/governance/sha256.ts';

const bytes = fc.uint8Array({ maxLength: 2 * maxShortBytes }).map((array) => new Uint8Array(array));

describe('sha256Of()', () => {
  it('returns SHA-256 (FIPS 180-4) for short and long messages', async () => {
    await fc.assert(
      fc.asyncProperty(bytes, async (message) => {
        const expected = new Uint8Array(createHash('sha256').update(message).digest());
        expect(await sha256Of(message)).toEqual(expected);
        expect(sha256Sync(message)).toEqual(expected);
      }),
    );
  });

  it('returns a promise only for long messages, which may be overwritten at once', async () => {
    const message = new Uint8Array(maxShortBytes + 1);
    expect(sha256Of(message.subarray(1))).toBeInstanceOf(Uint8Array);
    const expected = sha256Sync(message);
    const digest = sha256Of(message);
    expect(digest).toBeInstanceOf(Promise);
    message.fill(1);
    expect(await digest).toEqual(expected);
  });
});
