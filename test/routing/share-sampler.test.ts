import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShareSampler } from '../../src/routing/share-sampler.ts';

const share = fc.double({ min: 1e-4, max: 1, noNaN: true });
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

/** Returns which of `requests` are picked, with these random numbers repeated. */
function picks(requests: number, of: number, draws: readonly number[]): boolean[] {
  let drawn = 0;
  const sampler = new ShareSampler(() => draws[drawn++ % draws.length] ?? 0);
  return Array.from({ length: requests }, () => sampler.pick(of));
}

function count(picked: readonly boolean[]): number {
  return picked.filter((one) => one).length;
}

describe('ShareSampler', () => {
  it('picks the share of all requests, to within one', () => {
    fc.assert(
      fc.property(fc.nat(2000), share, fc.array(random, { minLength: 1 }), (requests, of, draws) => {
        expect(Math.abs(count(picks(requests, of, draws)) - requests * of)).toBeLessThan(1.000_001);
      }),
    );
  });

  it('picks no more than the share of any requests in a row, to within two', () => {
    fc.assert(
      fc.property(
        share,
        fc.array(random, { minLength: 1 }),
        fc.nat(400),
        fc.nat(400),
        (of, draws, from, length) => {
          const picked = count(picks(800, of, draws).slice(from, from + length));
          expect(picked).toBeLessThan(length * of + 2.000_001);
        },
      ),
    );
  });

  it('picks every request for a share of 1', () => {
    fc.assert(
      fc.property(fc.array(random, { minLength: 1 }), (draws) => {
        expect(count(picks(200, 1, draws))).toBe(200);
      }),
    );
  });

  it('picks any request with the same probability, whatever the pattern of requests', () => {
    let seed = 1;
    const die = () => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return seed / 2 ** 32;
    };
    const sampler = new ShareSampler(die);
    const byPlace = new Array<number>(20).fill(0);
    for (let request = 0; request < 200_000; request += 1) {
      const place = request % 20;
      if (sampler.pick(0.05)) byPlace[place] = (byPlace[place] ?? 0) + 1;
    }
    // 500 each; 5 standard deviations are 110.
    for (const picked of byPlace) expect(Math.abs(picked - 500)).toBeLessThan(110);
  });
});
