import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { blobKey, digestHex, digestOf, matchesDigest, parseDigest } from '../../src/storage/digest.ts';

it('digestOf() agrees with node:crypto on any bytes, views included', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.nat(20), async (whole, from) => {
      const bytes = new Uint8Array(whole).subarray(from);
      const digest = await digestOf(bytes);
      expect(digest).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
      expect(parseDigest(digest)).toBe(digest);
      expect(blobKey(digest)).toBe(`blobs/sha256/${digestHex(digest)}`);
    }),
  );
});

it('matchesDigest() detects any single flipped bit', async () => {
  const bytes = new Uint8Array([5, 6, 7]);
  const digest = await digestOf(bytes);
  expect(await matchesDigest(bytes, digest)).toBe(true);
  for (let bit = 0; bit < 24; bit += 1) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(await matchesDigest(flipped, digest)).toBe(false);
  }
});

it.each([
  '',
  'sha256:',
  `sha256:${'A'.repeat(64)}`,
  `sha512:${'a'.repeat(64)}`,
  `sha256:${'a'.repeat(65)}`,
  `x sha256:${'a'.repeat(64)}`,
])('parseDigest() refuses %j with invalid_request', (value) => {
  expect(() => parseDigest(value)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
});
