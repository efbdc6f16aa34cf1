import { describe, expect, it } from 'vitest';
import { LeaseBook } from '../../../src/governance/quota/lease-book.ts';
import type { ExchangeUnits } from '../../../src/governance/quota/lease-exchange.ts';
import type { MeterAnswer, MeterRequest } from '../../../src/governance/quota/meter-state.ts';
import { ManualClock } from '../../support/clock.ts';
import { memoryMeters } from '../../support/memory-meters.ts';
import { noonMs, quotaOf } from './contract.ts';

const meter = 'grant:g';

/** Returns a process, the requests that it sent, and a hook for the next request. */
function process() {
  const count = memoryMeters(() => noonMs);
  const clock = new ManualClock();
  const asked: MeterRequest[] = [];
  const next: { on: (ask: () => Promise<MeterAnswer>) => Promise<MeterAnswer> } = { on: (ask) => ask() };
  const exchange: ExchangeUnits = (of, request) => {
    asked.push(request);
    return next.on(() => count(of, request));
  };
  const book = new LeaseBook({ exchange, clock, defer: () => {}, name: () => 'one' });
  return { book, clock, asked, next, count };
}

const turns = () => new Promise((resolve) => setImmediate(resolve));

describe('LeaseBook', () => {
  it('returns unused leased units after 15 seconds', async () => {
    const { book, clock, count, asked } = process();
    await book.take(meter, quotaOf(10_000), 1, noonMs);
    clock.advance(14_999);
    await turns();
    expect(asked).toHaveLength(1);
    clock.advance(1);
    await turns();
    expect(asked).toHaveLength(2);
    const key = { key: asked[0]?.period.key ?? '', endsAtMs: Infinity };
    const { free } = await count(meter, { period: key, limit: 10_000, settlements: [], lease: undefined });
    expect(free).toBe(9999);
  });

  it('keeps units in use, and leases more before they are used up', async () => {
    const { book, clock, asked } = process();
    let waited = 0;
    for (let n = 0; n < 200; n += 1) {
      const taken = book.take(meter, quotaOf(1_000_000), 1, noonMs);
      if (taken instanceof Promise) waited += 1;
      expect((await taken).granted).toBe(true);
      clock.advance(400);
      await turns();
    }
    expect(waited).toBe(1);
    expect(asked.length).toBeLessThan(60);
    expect(asked.every(({ settlements }) => settlements.every(({ returned }) => returned === 0))).toBe(true);
  });

  it('requests larger leases if leases do not last', async () => {
    const { book, asked } = process();
    for (let n = 0; n < 4000; n += 1) {
      await book.take(meter, quotaOf(1_000_000), 1, noonMs);
      if (n % 4 === 0) await turns();
    }
    expect(asked.at(-1)?.lease?.surplus).toBe(256);
    expect(asked.length).toBeLessThan(60);
  });

  it('rejects if the meter cannot be read, and charges nothing', async () => {
    const { book, next } = process();
    next.on = async (ask) => {
      await ask();
      throw new Error('the answer was lost');
    };
    await expect(book.take(meter, quotaOf(2), 2, noonMs)).rejects.toMatchObject({
      code: 'records_unavailable',
      retryAfterSeconds: 1,
    });
    next.on = (ask) => ask();
    await turns();
    expect((await book.take(meter, quotaOf(2), 2, noonMs)).granted).toBe(true);
  });

  it('rejects after ten seconds, and keeps units that arrive later for another request', async () => {
    const { book, clock, next } = process();
    let answer = (): void => {};
    next.on = async (ask) => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return ask();
    };
    const taken = book.take(meter, quotaOf(1), 1, noonMs);
    const failed = expect(taken).rejects.toMatchObject({ code: 'records_unavailable' });
    clock.advance(10_000);
    await failed;
    next.on = (ask) => ask();
    answer();
    await turns();
    expect((await book.take(meter, quotaOf(1), 1, noonMs)).granted).toBe(true);
  });

  it('repeats a refusal for a second without asking, unless units were returned', async () => {
    const { book, clock, asked } = process();
    const first = await book.take(meter, quotaOf(1), 1, noonMs);
    await book.take(meter, quotaOf(1), 1, noonMs);
    expect(book.take(meter, quotaOf(1), 1, noonMs)).toMatchObject({ granted: false, remaining: 0 });
    expect(asked).toHaveLength(2);
    clock.advance(1000);
    expect((await book.take(meter, quotaOf(1), 1, noonMs)).granted).toBe(false);
    expect(asked).toHaveLength(3);
    expect(first.granted && first.giveBack()).toBeUndefined();
    expect((await book.take(meter, quotaOf(1), 1, noonMs)).granted).toBe(true);
  });

  it('refuses with a short reset time if another process may return units', async () => {
    const { book, count } = process();
    const quota = quotaOf(1000, 'total');
    const period = { key: 'total', endsAtMs: Infinity };
    const lease = { id: 'other', needs: [1], surplus: 256 };
    await count(meter, { period, limit: 1000, settlements: [], lease });
    expect(await book.take(meter, quota, 1000, noonMs)).toMatchObject({ granted: false, resetSeconds: 15 });
  });

  it('continues if an exchange never ends, first with units at hand, then with another exchange', async () => {
    const { book, clock, next } = process();
    const quota = quotaOf(1_000_000);
    await book.take(meter, quota, 1, noonMs);
    next.on = () => new Promise(() => {});
    for (let n = 0; n < 8; n += 1) {
      expect(book.take(meter, quota, 1, noonMs)).toMatchObject({ granted: true });
    }
    const stuck = expect(book.take(meter, quota, 1, noonMs)).rejects.toMatchObject({
      code: 'records_unavailable',
    });
    clock.advance(10_001);
    await stuck;
    next.on = (ask) => ask();
    expect((await book.take(meter, quota, 1, noonMs)).granted).toBe(true);
  });

  it('uses no units leased under a larger quota once the quota is smaller', async () => {
    const { book } = process();
    let granted = 0;
    for (let n = 0; n < 190; n += 1) {
      if ((await book.take(meter, quotaOf(1000), 1, noonMs)).granted) granted += 1;
    }
    for (let n = 0; n < 50; n += 1) {
      if ((await book.take(meter, quotaOf(200), 1, noonMs)).granted) granted += 1;
    }
    expect(granted).toBe(200);
  });

  it('decides each of several waiting requests by its own quota', async () => {
    const { book } = process();
    const taken = await Promise.all(
      [8, 3, 8, 3, 9].map((units) => book.take(meter, quotaOf(units), 3, noonMs)),
    );
    expect(taken.map((each) => each.granted)).toEqual([true, false, true, false, true]);
  });

  it('rejects an invalid number of units', () => {
    for (const units of [0, -1, Number.NaN]) {
      expect(() => process().book.take(meter, quotaOf(1), units, noonMs)).toThrow(
        expect.objectContaining({ code: 'internal' }),
      );
    }
  });
});
