import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Budget, budgetWindowMs, SlidingCount } from '../../src/routing/budget.ts';
import { ManualClock } from '../support/clock.ts';

/** Counts the times within the window that ends now, its start excluded. */
function inWindow(times: readonly number[], nowMs: number, windowMs = budgetWindowMs): number {
  return times.filter((atMs) => atMs > nowMs - windowMs).length;
}

const waits = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 0, max: 1500 }),
  fc.constant(25_000),
);

describe('SlidingCount', () => {
  it('bounds the events of the last 10 s to within half a second', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ waitMs: waits, adds: fc.boolean() })), (steps) => {
        const count = new SlidingCount();
        const times: number[] = [];
        let nowMs = 0;
        for (const { waitMs, adds } of steps) {
          nowMs += waitMs;
          if (adds) {
            count.add(nowMs);
            times.push(nowMs);
          }
          const [least, most] = [count.atLeast(nowMs), count.atMost(nowMs)];
          expect(least).toBeLessThanOrEqual(inWindow(times, nowMs));
          expect(least).toBeGreaterThanOrEqual(inWindow(times, nowMs, budgetWindowMs - 500));
          expect(most).toBeGreaterThanOrEqual(inWindow(times, nowMs));
          expect(most).toBeLessThanOrEqual(inWindow(times, nowMs, budgetWindowMs + 501));
        }
      }),
    );
  });

  it('counts from 0 after clear()', () => {
    const count = new SlidingCount();
    count.add(100);
    count.clear();
    count.add(100);
    expect([count.atLeast(100), count.atMost(100)]).toEqual([1, 1]);
  });
});

describe('Budget', () => {
  it.each([
    { name: 'retries', percent: 20, floor: 3 },
    { name: 'hedges', percent: 2, floor: 0 },
  ])('never spends more than its share of the last 10 s ($name)', ({ percent, floor }) => {
    const step = fc.record({ waitMs: waits, requests: fc.nat(60), spends: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const clock = new ManualClock();
        const requests = new SlidingCount();
        const budget = new Budget({ clock, requests, percent, floor });
        const [arrived, spent]: [number[], number[]] = [[], []];
        for (const one of steps) {
          clock.advance(one.waitMs);
          for (let request = 0; request < one.requests; request += 1) {
            requests.add(clock.now());
            arrived.push(clock.now());
          }
          for (let wish = 0; wish < one.spends && budget.hasRoom; wish += 1) {
            budget.spend();
            spent.push(clock.now());
            const limit = Math.max(floor, (inWindow(arrived, clock.now()) * percent) / 100);
            expect(inWindow(spent, clock.now())).toBeLessThanOrEqual(limit);
          }
        }
      }),
    );
  });

  it.each([
    { requests: 0, percent: 20, floor: 3, limit: 3 },
    { requests: 15, percent: 20, floor: 3, limit: 3 },
    { requests: 20, percent: 20, floor: 3, limit: 4 },
    { requests: 49, percent: 2, floor: 0, limit: 0 },
    { requests: 50, percent: 2, floor: 0, limit: 1 },
  ])(
    'allows $limit for $requests requests at $percent % and at least $floor',
    ({ requests: arrived, percent, floor, limit }) => {
      const clock = new ManualClock();
      const requests = new SlidingCount();
      const budget = new Budget({ clock, requests, percent, floor });
      for (let request = 0; request < arrived; request += 1) requests.add(0);
      expect([budget.limit, budget.hasRoom]).toEqual([limit, limit > 0]);
      for (let use = 0; use < limit; use += 1) budget.spend();
      expect([budget.spent, budget.hasRoom]).toEqual([limit, false]);
      clock.advance(budgetWindowMs + 500);
      expect([budget.spent, budget.limit]).toEqual([0, floor]);
    },
  );

  it.each([
    { requests: 49, rooms: 0 },
    { requests: 50, rooms: 1 },
    { requests: 200, rooms: 1 },
    { requests: 250, rooms: 2 },
    { requests: 1000, rooms: 5 },
  ])(
    'has room for $rooms of $requests within a quarter of 2 %, one at least',
    ({ requests: arrived, rooms }) => {
      const clock = new ManualClock();
      const requests = new SlidingCount();
      const budget = new Budget({ clock, requests, percent: 2, floor: 0 });
      for (let request = 0; request < arrived; request += 1) requests.add(0);
      let spent = 0;
      for (; budget.hasRoomWithin(0.25); spent += 1) budget.spend();
      expect(spent).toBe(rooms);
    },
  );

  it('still counts spending that is about to leave the window, but no longer such requests', () => {
    const clock = new ManualClock();
    const requests = new SlidingCount();
    const budget = new Budget({ clock, requests, percent: 20, floor: 3 });
    clock.advance(499);
    for (let request = 0; request < 100; request += 1) requests.add(clock.now());
    budget.spend();
    clock.advance(budgetWindowMs - 499);
    expect([budget.spent, budget.limit]).toEqual([1, 3]);
  });
});
