import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { saltedHash, subscriberOf } from '../../../src/governance/accounts/addresses.ts';
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
  it('never lets through more than the rate in any span of its period', () => {
    fc.assert(
      fc.property(rates, fc.array(fc.integer({ min: 0, max: 4000 }), { maxLength: 120 }), (rate, gaps) => {
        const time = new ManualClock();
        const windows = new SlidingWindows(time);
        const permitted: number[] = [];
        for (const gap of gaps) {
          time.advance(gap);
          if (windows.take('somebody', rate).permitted) permitted.push(time.now());
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

  it('says when there is more, and is right', () => {
    fc.assert(
      fc.property(rates, fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 60 }), (rate, gaps) => {
        const time = new ManualClock();
        const windows = new SlidingWindows(time);
        for (const gap of gaps) {
          time.advance(gap);
          const { permitted, remaining, resetSeconds } = windows.take('somebody', rate);
          expect(resetSeconds).toBeGreaterThanOrEqual(1);
          expect(resetSeconds).toBeLessThanOrEqual(rate.perSeconds * 1.1);
          expect(remaining).toBeLessThan(rate.requests);
          if (permitted) continue;
          expect(remaining).toBe(0);
          time.advance(resetSeconds * 1000);
          expect(windows.take('somebody', rate).permitted).toBe(true);
        }
      }),
    );
  });

  it('has all to give again after a period and a tenth', () => {
    const rate: Rate = { requests: 3, perSeconds: 10 };
    const windows = new SlidingWindows(clock);
    const take = () => windows.take('somebody', rate);
    expect([take(), take(), take(), take()].map(({ permitted }) => permitted)).toEqual([
      true,
      true,
      true,
      false,
    ]);
    clock.advance(11_000);
    expect(take()).toEqual({ permitted: true, rate, remaining: 2, resetSeconds: 11 });
    expect(windows.look('somebody', rate).remaining).toBe(2);
    expect(windows.take('somebody else', rate).remaining).toBe(2);
  });

  it('follows a rate that changes', () => {
    const windows = new SlidingWindows(clock);
    for (let count = 0; count < 5; count += 1) windows.take('somebody', { requests: 5, perSeconds: 60 });
    expect(windows.take('somebody', { requests: 5, perSeconds: 60 }).permitted).toBe(false);
    expect(windows.take('somebody', { requests: 6, perSeconds: 60 }).permitted).toBe(true);
    expect(windows.take('somebody', { requests: 2, perSeconds: 60 })).toMatchObject({
      permitted: false,
      remaining: 0,
    });
  });

  it('keeps no more subjects than it has room for', () => {
    const windows = new SlidingWindows(clock);
    for (let index = 0; index < 10_000; index += 1)
      windows.take(`subject ${index}`, { requests: 1, perSeconds: 60 });
    expect(windows.size).toBe(4096);
  });
});

describe('createSharedRate()', () => {
  const rate: Rate = { requests: 320, perSeconds: 60 };
  /** What a place counts: exact, as the platform's is not. */
  function place() {
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

  it('reports by the batch, and what comes in slowly every second', () => {
    const { isolate, added } = place();
    const limiter = isolate();
    for (let count = 0; count < 25; count += 1) limiter.take('somebody', rate);
    expect(added).toEqual([10, 10]);
    clock.advance(1000);
    limiter.take('somebody', rate);
    expect(added).toEqual([10, 10, 6]);
  });

  it('lets through the rate of the place and a batch of each isolate, however many there are', async () => {
    const { isolate, pending, reset } = place();
    const isolates = Array.from({ length: 8 }, isolate);
    let permitted = 0;
    for (let round = 0; round < 200; round += 1) {
      for (const limiter of isolates) if (limiter.take('somebody', rate).permitted) permitted += 1;
      await Promise.all(pending.splice(0));
    }
    expect(permitted).toBeGreaterThanOrEqual(320);
    expect(permitted).toBeLessThanOrEqual(320 + isolates.length * 10);
    const [one] = isolates;
    expect(one?.take('somebody', rate)).toEqual({ permitted: false, rate, remaining: 0, resetSeconds: 6 });
    expect(one?.take('somebody else', rate).permitted).toBe(true);
    reset();
    clock.advance(6000);
    expect(one?.take('somebody', rate).permitted).toBe(true);
  });

  it('counts by itself where the shared counter fails', async () => {
    const pending: Promise<unknown>[] = [];
    const limiter = createSharedRate({
      local: new SlidingWindows(clock),
      shared: { add: () => Promise.reject(new Error('away')) },
      clock,
      defer: (work) => void pending.push(work),
    });
    const small: Rate = { requests: 2, perSeconds: 10 };
    const take = () => limiter.take('somebody', small).permitted;
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
  ])('of %s is %s', (address, subscriber) => {
    expect(subscriberOf(address)).toBe(subscriber);
  });
});

describe('saltedHash()', () => {
  it('tells addresses apart, each process in its own way', () => {
    const one = saltedHash();
    const other = saltedHash();
    const addresses = Array.from({ length: 5000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
    expect(new Set(addresses.map(one)).size).toBe(5000);
    expect(addresses.filter((address) => one(address) === other(address))).toEqual([]);
    expect(one('192.0.2.7')).toBe(one('192.0.2.7'));
    expect(one('192.0.2.7')).not.toContain('192.0');
  });
});
