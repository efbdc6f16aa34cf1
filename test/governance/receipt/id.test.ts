import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { receiptId } from '../../../src/governance/receipt/id.ts';
import { receiptIdSchema } from '../../../src/governance/receipt/schema.ts';
import { receiptTimeMs } from '../../../src/governance/vault/sealed-receipt.ts';

describe('receiptId()', () => {
  it('returns a UUID of version 7 that contains the time', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 2 ** 45 }),
        fc.uint8Array({ minLength: 10, maxLength: 10 }),
        (atMs, random) => {
          const id = receiptId(atMs, random);
          expect(receiptIdSchema.safeParse(id).success).toBe(true);
          expect(receiptTimeMs(id)).toBe(atMs);
        },
      ),
    );
    // RFC 9562, appendix A.6.
    const random = Uint8Array.of(0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f);
    expect(receiptId(0x017f22e279b0, random)).toBe('017f22e2-79b0-7cc3-98c4-dc0c0c07398f');
  });

  it('uses each random bit except those of version and variant', () => {
    const zero = receiptId(0, new Uint8Array(10));
    const ids = Array.from({ length: 80 }, (_, bit) => {
      const random = new Uint8Array(10);
      random[bit >> 3] = 0x80 >> (bit & 7);
      return receiptId(0, random);
    });
    // The version replaces four bits, the variant two.
    expect(new Set(ids.filter((id) => id !== zero)).size).toBe(74);
  });
});
