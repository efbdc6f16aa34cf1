import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { createSaltedHash, subscriberOf } from '../../../src/governance/accounts/addresses.ts';
import type { Rate } from '../../../src/governance/accounts/schema.ts';
import { createSharedRate } from '../../../src/governance/accounts/shared-rate.ts';
import { SlidingWindows } from '../../../src/governance/accounts/sliding-windows.ts';
import { ManualClock } from '../../support/clock.ts';

let clock: ManualClock;
beforeEach(() => {
  clock = new ManualClock();
});
const rates: fc.Arbitrary<Rate> = fc.record({
  requests: fc.integer({ min: 1, max: 12 }),
  perSeconds: fc.constantFrom(10 as const, 60 as const),
});

describe('SlidingWindows', () => {
  it('never permits more than the rate in any span of its period', () => {
    fc.assert(
      fc.property(rates, fc.array(fc.integer({ min: 0, max: 4000 }), { maxLength: 120 }), (rate, gaps) => {
        const time = new ManualClock();
        const windows = new SlidingWindows(time);
        const permitted: number[] = [];
        for (const gap of gaps) {
          time.advance(gap);
          if (windows.take('alice', rate).permitted) permitted.push(time.now());
        }
        const spanMs = rate.perSeconds * 1000;
        for (const at of permitted) {
          expect(permitted.filter((other) => other >= at && other < at + spanMs).length).toBeLessThanOrEqual(
            rate.requests,
          );
        }
      }),
    );
  });

  it('permits a request again after resetSeconds', () => {
    fc.assert(
      fc.property(rates, fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 60 }), (rate, gaps) => {
        const time = new ManualClock();
        const windows = new SlidingWindows(time);
        for (const gap of gaps) {
          time.advance(gap);
          const { permitted, remaining, resetSeconds } = windows.take('alice', rate);
          expect(resetSeconds).toBeGreaterThanOrEqual(1);
          expect(resetSeconds).toBeLessThanOrEqual(rate.perSeconds * 1.1);
          expect(remaining).toBeLessThan(rate.requests);
          if (permitted) continue;
          expect(remaining).toBe(0);
          time.advance(resetSeconds * 1000);
          expect(windows.take('alice', rate).permitted).toBe(true);
        }
      }),
    );
  });

  it('permits the whole rate again after 1.1 periods', () => {
    const rate: Rate = { requests: 3, perSeconds: 10 };
    const windows = new SlidingWindows(clock);
    const take = () => windows.take('alice', rate);
    expect([take(), take(), take(), take()].map(({ permitted }) => permitted)).toEqual([
      true,
      true,
      true,
      false,
    ]);
    clock.advance(11_000);
    expect(take()).toEqual({ permitted: true, rate, remaining: 2, resetSeconds: 11 });
    expect(windows.look('alice', rate).remaining).toBe(2);
    expect(windows.take('bob', rate).remaining).toBe(2);
  });

  it('follows a changed rate', () => {
    const windows = new SlidingWindows(clock);
    for (let count = 0; count < 5; count += 1) windows.take('alice', { requests: 5, perSeconds: 60 });
    expect(windows.take('alice', { requests: 5, perSeconds: 60 }).permitted).toBe(false);
    expect(windows.take('alice', { requests: 6, perSeconds: 60 }).permitted).toBe(true);
    expect(windows.take('alice', { requests: 2, perSeconds: 60 })).toMatchObject({
      permitted: false,
      remaining: 0,
    });
  });

  it('counts 4096 subjects at most', () => {
    const windows = new SlidingWindows(clock);
    for (let index = 0; index < 10_000; index += 1)
      windows.take(`subject ${index}`, { requests: 1, perSeconds: 60 });
    expect(windows.size).toBe(4096);
  });
});

describe('createSharedRate()', () => {
  const rate: Rate = { requests: 320, perSeconds: 60 };
  /** Returns a data centre with a shared counter, which is exact, unlike the platform's. */
  function dataCentre() {
    const counts = new Map<string, number>();
    const added: number[] = [];
    const pending: Promise<unknown>[] = [];
    const isolate = () =>
      createSharedRate({
        local: new SlidingWindows(clock),
        shared: {
          async add(subject, { requests: limit }, requests) {
            added.push(requests);
            const count = (counts.get(subject) ?? 0) + requests;
            counts.set(subject, count);
            return count > limit ? 'over' : 'within';
          },
        },
        clock,
        defer: (work) => void pending.push(work),
      });
    return { isolate, added, pending, reset: () => counts.clear() };
  }

  it('reports in batches, or after a second if requests come slowly', () => {
    const { isolate, added } = dataCentre();
    const limiter = isolate();
    for (let count = 0; count < 25; count += 1) limiter.take('alice', rate);
    expect(added).toEqual([10, 10]);
    clock.advance(1000);
    limiter.take('alice', rate);
    expect(added).toEqual([10, 10, 6]);
  });

  it('permits the rate of the data centre and at most a batch more per isolate', async () => {
    const { isolate, pending, reset } = dataCentre();
    const isolates = Array.from({ length: 8 }, isolate);
    let permitted = 0;
    for (let round = 0; round < 200; round += 1) {
      for (const limiter of isolates) if (limiter.take('alice', rate).permitted) permitted += 1;
      await Promise.all(pending.splice(0));
    }
    expect(permitted).toBeGreaterThanOrEqual(320);
    expect(permitted).toBeLessThanOrEqual(320 + isolates.length * 10);
    const [one] = isolates;
    expect(one?.take('alice', rate)).toEqual({ permitted: false, rate, remaining: 0, resetSeconds: 6 });
    expect(one?.take('bob', rate).permitted).toBe(true);
    reset();
    clock.advance(6000);
    expect(one?.take('alice', rate).permitted).toBe(true);
  });

  it('counts by itself if the shared counter fails', async () => {
    const pending: Promise<unknown>[] = [];
    const limiter = createSharedRate({
      local: new SlidingWindows(clock),
      shared: { add: () => Promise.reject(new Error('away')) },
      clock,
      defer: (work) => void pending.push(work),
    });
    const small: Rate = { requests: 2, perSeconds: 10 };
    const take = () => limiter.take('alice', small).permitted;
    expect([take(), take(), take()]).toEqual([true, true, false]);
    await expect(Promise.all(pending)).resolves.toBeDefined();
  });
});

describe('subscriberOf()', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:DB8:0001:0002::1', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:db8::', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['2001:0:0:1::', '2001:0:0:1'],
  ])('maps %s to %s', (address, subscriber) => {
    expect(subscriberOf(address)).toBe(subscriber);
  });
});

describe('createSaltedHash()', () => {
  it('hashes addresses to different values, and differently in each process', () => {
    const one = createSaltedHash();
    const other = createSaltedHash();
    const addresses = Array.from({ length: 5000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
    expect(new Set(addresses.map(one)).size).toBe(5000);
    expect(addresses.filter((address) => one(address) === other(address))).toEqual([]);
    expect(one('192.0.2.7')).toBe(one('192.0.2.7'));
    expect(one('192.0.2.7')).not.toContain('192.0');
  });
});
