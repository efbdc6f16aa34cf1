import { describe, expect, it, vi } from 'vitest';
import { EdgewiseError } from '../../../src/errors.ts';
import { type AppenderOptions, BatchingAppender, wrapRecord } from '../../../src/governance/log/appender.ts';
import { hashInEntry } from '../../../src/governance/log/entry.ts';
import type { LogRecord } from '../../../src/governance/log/types.ts';
import { ManualClock } from '../../support/clock.ts';
import { recordOf, recordsOf } from './records.ts';

type Answer = { resolve: () => void; reject: (error: unknown) => void };

/** An appender over a log whose answers the test controls. */
function harness(options: Partial<AppenderOptions> = {}) {
  const clock = new ManualClock();
  const batches: (readonly LogRecord[])[] = [];
  const answers: Answer[] = [];
  const append = (records: readonly LogRecord[]) => {
    batches.push(records);
    return new Promise<void>((resolve, reject) => answers.push({ resolve, reject }));
  };
  const appender = new BatchingAppender({ log: { append }, clock, windowMs: 10, ...options });
  /** Runs the pending promise callbacks. All timers are the clock's. */
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  const advance = async (ms: number) => {
    clock.advance(ms);
    await settle();
  };
  return { clock, batches, answers, appender, advance, settle };
}

const outcomeOf = (promise: Promise<void>) => {
  const outcome = { value: 'pending' };
  promise.then(
    () => (outcome.value = 'appended'),
    (error: unknown) => (outcome.value = error instanceof EdgewiseError ? error.code : String(error)),
  );
  return outcome;
};

describe('BatchingAppender', () => {
  it('sends the records of one window as one batch', async () => {
    const { appender, batches, answers, advance, settle, clock } = harness();
    const records = await recordsOf(0, 3);
    const outcomes = records.map((record) => outcomeOf(appender.add(wrapRecord(record))));
    await advance(9);
    expect(batches).toEqual([]);
    await advance(1);
    expect(batches).toEqual([records]);
    expect(outcomes.map(({ value }) => value)).toEqual(['pending', 'pending', 'pending']);
    answers[0]?.resolve();
    await settle();
    expect(outcomes.map(({ value }) => value)).toEqual(['appended', 'appended', 'appended']);
    expect(clock.pending).toBe(0);
  });

  it('sends a full batch immediately, and the remaining records after the window', async () => {
    const { appender, batches, answers, advance, settle } = harness({ maxBatchRecords: 4 });
    const outcomes = (await recordsOf(0, 6)).map((record) => outcomeOf(appender.add(wrapRecord(record))));
    await settle();
    expect(batches.map((batch) => batch.length)).toEqual([4]);
    await advance(10);
    expect(batches.map((batch) => batch.length)).toEqual([4, 2]);
    for (const { resolve } of answers) resolve();
    await settle();
    expect(outcomes.map(({ value }) => value)).toEqual(Array(6).fill('appended'));
  });

  it('retries a failed batch as one batch, with a delay that doubles', async () => {
    const { appender, batches, answers, advance, settle } = harness({ backoffMs: 100 });
    const records = await recordsOf(0, 2);
    const outcomes = records.map((record) => outcomeOf(appender.add(wrapRecord(record))));
    await advance(10);
    for (const [attempt, waitMs] of [100, 200, 400].entries()) {
      answers[attempt]?.reject(new Error('no'));
      await settle();
      await advance(waitMs - 1);
      expect(batches).toHaveLength(attempt + 1);
      await advance(1);
      expect(batches).toHaveLength(attempt + 2);
      expect(new Set(batches.at(-1))).toEqual(new Set(records));
    }
    answers[3]?.resolve();
    await settle();
    expect(outcomes.map(({ value }) => value)).toEqual(['appended', 'appended']);
  });

  it('fails a record after the last attempt, with its cause, and releases its memory', async () => {
    const clock = new ManualClock();
    const append = vi.fn(() => Promise.reject(new Error('down')));
    const appender = new BatchingAppender({ log: { append }, clock, maxAttempts: 3, maxHeldBytes: 1000 });
    for (let round = 0; round < 5; round += 1) {
      const adding = appender.add(wrapRecord(await recordOf(round)));
      const failure = expect(adding).rejects.toMatchObject({
        code: 'records_unavailable',
        cause: { message: 'down' },
      });
      for (let step = 0; step < 10; step += 1) {
        clock.advance(60_000);
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      await failure;
    }
    expect(append).toHaveBeenCalledTimes(15);
  });

  it('appends the other records of a batch when the log refuses one', async () => {
    const clock = new ManualClock();
    const bad = await recordOf(0);
    const good = await recordsOf(1, 4);
    const appended: LogRecord[] = [];
    const append = async (records: readonly LogRecord[]) => {
      if (records.includes(bad)) throw new EdgewiseError('invalid_request', 'not an entry');
      appended.push(...records);
    };
    const appender = new BatchingAppender({ log: { append }, clock, windowMs: 10 });
    const outcomes = [bad, ...good].map((record) => outcomeOf(appender.add(wrapRecord(record))));
    clock.advance(10);
    await vi.waitFor(() => expect(outcomes.map(({ value }) => value)).not.toContain('pending'));
    expect(outcomes.map(({ value }) => value)).toEqual([
      'records_unavailable',
      'appended',
      'appended',
      'appended',
    ]);
    expect(appended).toEqual(good);
  });

  it('makes a record once, when its batch is sent, and again only if the first call never settled', async () => {
    const { appender, batches, answers, advance, settle } = harness({ patienceMs: 1000, backoffMs: 100 });
    const [one, other] = [await recordOf(0), await recordOf(1)];
    const make = vi.fn(() => one);
    const never = new Promise<LogRecord>(() => {});
    const stuck = vi.fn<() => LogRecord | Promise<LogRecord>>(() => other).mockReturnValueOnce(never);
    const outcomes = [
      outcomeOf(appender.add({ byteLength: 100, make })),
      outcomeOf(appender.add({ byteLength: 100, make: stuck })),
    ];
    expect(make).not.toHaveBeenCalled();
    await advance(10);
    // The request that makes the second record has ended.
    expect(batches).toEqual([]);
    await advance(1000);
    await advance(100);
    expect(batches.map((batch) => new Set(batch))).toEqual([new Set([one, other])]);
    answers[0]?.reject(new Error('no'));
    await settle();
    await advance(200);
    answers[1]?.resolve();
    await settle();
    expect(outcomes.map(({ value }) => value)).toEqual(['appended', 'appended']);
    expect(make).toHaveBeenCalledTimes(1);
    expect(stuck).toHaveBeenCalledTimes(2);
  });

  it('keeps a record whose first attempt to be made fails after the second one was sent', async () => {
    const { appender, batches, answers, advance, settle } = harness({ patienceMs: 1000, backoffMs: 100 });
    const record = await recordOf(0);
    const first = Promise.withResolvers<LogRecord>();
    const make = vi.fn<() => LogRecord | Promise<LogRecord>>(() => record).mockReturnValueOnce(first.promise);
    const outcome = outcomeOf(appender.add({ byteLength: 100, make }));
    await advance(10);
    await advance(1000);
    await advance(100);
    expect(batches).toEqual([[record]]);
    first.reject(new Error('too late'));
    await settle();
    answers[0]?.resolve();
    await settle();
    expect(outcome.value).toBe('appended');
  });

  it('appends the other records of a batch when one cannot be made', async () => {
    const { appender, batches, answers, advance, settle } = harness();
    const record = await recordOf(0);
    const failing = appender.add({ byteLength: 100, make: () => Promise.reject(new Error('no key')) });
    const failure = expect(failing).rejects.toMatchObject({
      code: 'records_unavailable',
      cause: { message: 'no key' },
    });
    const good = outcomeOf(appender.add(wrapRecord(record)));
    await advance(10);
    await failure;
    expect(batches).toEqual([[record]]);
    answers[0]?.resolve();
    await settle();
    expect(good.value).toBe('appended');
  });

  it('sends a batch again when its request has ended', async () => {
    const { appender, batches, answers, advance, settle } = harness({ patienceMs: 1000 });
    const outcomes = (await recordsOf(0, 2)).map((record) => outcomeOf(appender.add(wrapRecord(record))));
    await advance(10);
    expect(batches).toHaveLength(1);
    // The answer never comes. The next request to wake sends the whole batch again.
    await advance(999);
    expect(batches).toHaveLength(1);
    await advance(300);
    expect(batches).toHaveLength(2);
    expect(new Set(batches[1])).toEqual(new Set(batches[0]));
    answers[1]?.resolve();
    await settle();
    expect(outcomes.map(({ value }) => value)).toEqual(['appended', 'appended']);
    // A late answer to the first attempt changes nothing.
    answers[0]?.reject(new Error('late'));
    await settle();
    await advance(60_000);
    expect(batches).toHaveLength(2);
  });

  it('sends the records of requests that ended with the next request, and releases their memory', async () => {
    const clock = new ManualClock();
    const batches: (readonly LogRecord[])[] = [];
    const append = async (records: readonly LogRecord[]) => void batches.push(records);
    // The clock of a request that has ended never wakes it.
    const dead = { now: () => clock.now(), after: () => () => {} };
    let current: Pick<ManualClock, 'now' | 'after'> = dead;
    const appender = new BatchingAppender({
      windowMs: 10,
      log: { append },
      clock: { now: () => current.now(), after: (ms, wake) => current.after(ms, wake) },
      maxHeldBytes: 4 * 700,
    });
    for (let round = 0; round < 5; round += 1) {
      current = dead;
      for (const record of await recordsOf(10 * round, 10 * round + 3)) void appender.add(wrapRecord(record));
      current = clock;
      const alive = outcomeOf(appender.add(wrapRecord(await recordOf(10 * round + 3))));
      clock.advance(10);
      await vi.waitFor(() => expect(alive.value).toBe('appended'));
      expect(batches.at(-1)).toHaveLength(4);
    }
  });

  it('refuses a record that exceeds its memory limit, and takes it once there is room', async () => {
    const { appender, answers, advance, settle } = harness({ maxHeldBytes: 1300 });
    const third = await recordOf(2);
    const outcomes = (await recordsOf(0, 2)).map((record) => outcomeOf(appender.add(wrapRecord(record))));
    await expect(appender.add(wrapRecord(third))).rejects.toMatchObject({ code: 'records_unavailable' });
    await advance(10);
    answers[0]?.resolve();
    await settle();
    expect(outcomes.map(({ value }) => value)).toEqual(['appended', 'appended']);
    const later = outcomeOf(appender.add(wrapRecord(third)));
    await advance(10);
    answers[1]?.resolve();
    await settle();
    expect(later.value).toBe('appended');
  });

  it('appends every record to a log that fails at times, however requests interleave', async () => {
    const clock = new ManualClock();
    const appended = new Set<string>();
    let calls = 0;
    const append = async (records: readonly LogRecord[]) => {
      calls += 1;
      if (calls % 3 === 0) throw new Error('not now');
      for (const { entry } of records) appended.add(hashInEntry(entry).join());
    };
    const appender = new BatchingAppender({ log: { append }, clock, maxBatchRecords: 16 });
    const adding: Promise<void>[] = [];
    for (const [n, record] of (await recordsOf(0, 500)).entries()) {
      adding.push(appender.add(wrapRecord(record)));
      if (n % 7 === 0) clock.advance(3);
      if (n % 11 === 0) await Promise.resolve();
    }
    const all = outcomeOf(Promise.all(adding).then(() => undefined));
    await vi.waitFor(() => {
      clock.advance(1000);
      expect(all.value).toBe('appended');
    });
    expect(appended.size).toBe(500);
  });

  it('reports no room while it still accepts records of requests in progress', async () => {
    const { appender, answers, advance, settle } = harness({ maxHeldBytes: 4000 });
    expect(appender.hasRoom()).toBe(true);
    const outcomes = (await recordsOf(0, 6)).map((record) => outcomeOf(appender.add(wrapRecord(record))));
    expect(appender.hasRoom()).toBe(false);
    expect(
      (await recordsOf(6, 7)).map((record) => outcomeOf(appender.add(wrapRecord(record))).value),
    ).toEqual(['pending']);
    await advance(10);
    for (const { resolve } of answers) resolve();
    await settle();
    expect(outcomes.map(({ value }) => value)).toEqual(Array(6).fill('appended'));
    expect(appender.hasRoom()).toBe(true);
  });

  it('flush() sends the records of requests that never resume, and releases their memory', async () => {
    const { appender, batches, answers, settle } = harness({ maxHeldBytes: 4000, windowMs: 1e9 });
    for (const record of await recordsOf(0, 6)) void appender.add(wrapRecord(record)).catch(() => undefined);
    expect(appender.hasRoom()).toBe(false);
    void appender.flush();
    void appender.flush();
    await settle();
    expect(batches.map((batch) => batch.length)).toEqual([6]);
    answers[0]?.resolve();
    await settle();
    expect(appender.hasRoom()).toBe(true);
  });
});
