import { describe, expect, it } from 'vitest';
import { randomHex } from '../../src/telemetry/random-hex.ts';

describe('randomHex()', () => {
  it('returns two hexadecimal digits for each byte', () => {
    expect(randomHex(8)).toMatch(/^[0-9a-f]{16}$/);
    expect(randomHex(16)).toMatch(/^[0-9a-f]{32}$/);
  });

  it('returns no value twice, even across pools of random bytes', () => {
    const count = 2000;
    const seen = new Set(Array.from({ length: count }, (_, index) => randomHex(index % 2 === 0 ? 16 : 24)));
    expect(seen.size).toBe(count);
    for (const text of seen) expect(text).toMatch(/^(?:[0-9a-f]{32}|[0-9a-f]{48})$/);
  });

  it('returns every value of a byte', () => {
    const text = randomHex(1).concat(...Array.from({ length: 4000 }, () => randomHex(4)));
    const bytes = new Set(text.match(/../g));
    expect(bytes.size).toBe(256);
  });
});
