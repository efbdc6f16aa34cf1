import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxShortBytes, sha256Of, sha256Sync } from '../../src/governance/sha256.ts';

const bytes = fc.uint8Array({ maxLength: 2 * maxShortBytes }).map((array) => new Uint8Array(array));

describe('sha256Of()', () => {
  it('is SHA-256 (FIPS 180-4), computed here or there', async () => {
    await fc.assert(
      fc.asyncProperty(bytes, async (message) => {
        const wanted = new Uint8Array(createHash('sha256').update(message).digest());
        expect(await sha256Of(message)).toEqual(wanted);
        expect(sha256Sync(message)).toEqual(wanted);
      }),
    );
  });

  it('waits for long messages alone, and lets go of them at once', async () => {
    const message = new Uint8Array(maxShortBytes + 1);
    expect(sha256Of(message.subarray(1))).toBeInstanceOf(Uint8Array);
    const wanted = sha256Sync(message);
    const digest = sha256Of(message);
    expect(digest).toBeInstanceOf(Promise);
    message.fill(1);
    expect(await digest).toEqual(wanted);
  });
});
