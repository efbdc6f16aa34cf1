import { describe, expect, it } from 'vitest';
import { LeaseBook } from '../../../src/governance/quota/lease-book.ts';
import type { ExchangeUnits } from '../../../src/governance/quota/lease-exchange.ts';
import { memoryMeters } from '../../../src/governance/quota/memory-store.ts';
import type { MeterAnswer, MeterRequest } from '../../../src/governance/quota/meter-state.ts';
import { ManualClock } from '../../support/clock.ts';
import { noonMs, quotaOf } from './contract.ts';

const meter = 'grant:g';

/** A process, the exchanges that it asked for, and what happens to the next of them. */
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
  it('gives what it leased and did not use back after 15 seconds', async () => {
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

  it('keeps what it uses, and asks for more before it is used up', async () => {
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

  it('asks for larger leases where they do not last', async () => {
    const { book, asked } = process();
    for (let n = 0; n < 4000; n += 1) {
      await book.take(meter, quotaOf(1_000_000), 1, noonMs);
      if (n % 4 === 0) await turns();
    }
    expect(asked.at(-1)?.lease?.surplus).toBe(256);
    expect(asked.length).toBeLessThan(60);
  });

  it('fails closed where what is left cannot be read, and charges nobody for it', async () => {
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

  it('lets nobody wait for ever, and keeps what came too late for another', async () => {
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

  it('repeats a refusal for a second without asking, unless something came back', async () => {
    const { book, clock, asked } = process();
    const first = await book.take(meter, quotaOf(1), 1, noonMs);
    await book.take(meter, quotaOf(1), 1, noonMs);
    expect(book.take(meter, quotaOf(1), 1, noonMs)).toMatchObject({ granted: false, remaining: 0 });
    expect(asked).toHaveLength(2);
    clock.advance(1000);
    expect((await book.take(meter, quotaOf(1), 1, noonMs)).granted).toBe(false);
    expect(asked).toHaveLength(3);
    if (first.granted) first.giveBack();
    expect((await book.take(meter, quotaOf(1), 1, noonMs)).granted).toBe(true);
  });

  it('tells who is refused to come again soon where others may give something back', async () => {
    const { book, count } = process();
    const quota = quotaOf(1000, 'total');
    const period = { key: 'total', endsAtMs: Infinity };
    const lease = { id: 'other', needs: [1], surplus: 256 };
    await count(meter, { period, limit: 1000, settlements: [], lease });
    expect(await book.take(meter, quota, 1000, noonMs)).toMatchObject({ granted: false, resetSeconds: 15 });
  });

  it('goes on where an exchange never ends, with what is at hand and then with another', async () => {
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

  it('uses nothing that was leased from a larger quota once it is smaller', async () => {
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

  it('judges each of several requests that wait by its own quota', async () => {
    const { book } = process();
    const taken = await Promise.all(
      [8, 3, 8, 3, 9].map((units) => book.take(meter, quotaOf(units), 3, noonMs)),
    );
    expect(taken.map((each) => each.granted)).toEqual([true, false, true, false, true]);
  });

  it('takes no number of units that is none', () => {
    for (const units of [0, -1, Number.NaN]) {
      expect(() => process().book.take(meter, quotaOf(1), units, noonMs)).toThrow(
        expect.objectContaining({ code: 'internal' }),
      );
    }
  });
});
