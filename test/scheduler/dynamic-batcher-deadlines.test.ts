import { describe, expect, it } from 'vitest';
import { codeOf, errorOf } from '../engine/contract.ts';
import { batchHarness, settle, values } from './batch-harness.ts';

describe('DynamicBatcher.run() with a deadline or signal', () => {
  it('refuses a request whose deadline passes in the queue, and never runs it', async () => {
    const { ask, runs, clock } = batchHarness();
    void ask(0);
    const late = ask(1, { options: { deadlineMs: 10 } });
    const patient = ask(2);
    clock.advance(10);
    const error = await errorOf(late);
    expect(error.code).toBe('deadline_exceeded');
    expect(error.message).toBe('the run did not begin within its deadline of 10 ms');
    await runs[0]?.finish();
    expect(runs[1]?.values).toEqual([2]);
    await runs[1]?.finish();
    await patient;
    expect(clock.pending).toBe(0);
  });

  it('refuses a request whose caller leaves the queue, or had left before', async () => {
    const { ask, runs } = batchHarness();
    void ask(0);
    const caller = new AbortController();
    const gone = ask(1, { options: { signal: caller.signal } });
    caller.abort(new Error('why'));
    const error = await errorOf(gone);
    expect([error.code, error.cause]).toEqual(['deadline_exceeded', new Error('why')]);
    expect(await codeOf(ask(2, { options: { signal: caller.signal } }))).toBe('deadline_exceeded');
    await runs[0]?.finish();
    expect(runs).toHaveLength(1);
  });

  it('does not delay a request whose deadline is shorter than the delay', () => {
    const { ask, runs } = batchHarness();
    void ask(1, { policy: { maxQueueDelayMicroseconds: 5000 }, options: { deadlineMs: 3 } });
    expect(runs).toHaveLength(1);
  });

  it('lets a request leave a batch that has not begun; the others stay', async () => {
    const { ask, runs, clock } = batchHarness({ begins: 'when told' });
    void ask(0);
    const caller = new AbortController();
    const late = ask(1, { options: { deadlineMs: 10 } });
    const gone = ask(2, { options: { signal: caller.signal } });
    const patient = ask(3);
    runs[0]?.begin();
    await runs[0]?.finish();
    expect(runs[1]?.values).toEqual([1, 2, 3]);
    clock.advance(10);
    caller.abort();
    expect(await codeOf(late)).toBe('deadline_exceeded');
    expect(await codeOf(gone)).toBe('deadline_exceeded');
    expect(runs[1]?.options.signal?.aborted).toBe(false);
    runs[1]?.begin();
    await runs[1]?.finish();
    expect(values((await patient).outputs.get('y'))).toEqual([3]);
  });

  it('cancels a batch that has not begun when all its requests have left, and continues', async () => {
    const { ask, runs, clock } = batchHarness({ begins: 'when told' });
    const late = ask(1, { options: { deadlineMs: 10 } });
    clock.advance(10);
    expect(await codeOf(late)).toBe('deadline_exceeded');
    expect(runs[0]?.options.signal?.aborted).toBe(true);
    await settle();
    void ask(2);
    expect(runs[1]?.values).toEqual([2]);
  });

  it('lets no request leave a run that has begun', async () => {
    const { ask, runs, clock } = batchHarness();
    const caller = new AbortController();
    const result = ask(1, { options: { deadlineMs: 10, signal: caller.signal } });
    expect(clock.pending).toBe(0);
    clock.advance(100);
    caller.abort();
    await runs[0]?.finish();
    expect(values((await result).outputs.get('y'))).toEqual([1]);
    expect(runs[0]?.options.signal?.aborted).toBe(false);
  });
});

describe('DynamicBatcher with inexact timers', () => {
  /** A clock whose time and timers the test controls separately. */
  function looseClock() {
    const wakes: (() => void)[] = [];
    const clock = { nowMs: 0, now: () => clock.nowMs, after, wakes };
    function after(_: number, wake: () => void) {
      wakes.push(wake);
      return () => undefined;
    }
    return clock;
  }

  it('does not run an expired request whose timer is late', async () => {
    const clock = looseClock();
    const { ask, runs } = batchHarness({ clock });
    void ask(0);
    const late = ask(1, { options: { deadlineMs: 10 } });
    clock.nowMs = 10.5;
    await runs[0]?.finish();
    expect(await codeOf(late)).toBe('deadline_exceeded');
    expect(runs).toHaveLength(1);
  });

  it('runs a batch whose timer is a little early, and sets no other timer', () => {
    const clock = looseClock();
    const { ask, runs } = batchHarness({ clock });
    void ask(1, { policy: { maxQueueDelayMicroseconds: 5000 } });
    clock.nowMs = 4.8;
    clock.wakes[0]?.();
    expect(runs).toHaveLength(1);
    expect(clock.wakes).toHaveLength(1);
  });
});
