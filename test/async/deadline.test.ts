import { describe, expect, it } from 'vitest';
import { settledWithin } from '../../src/async/deadline.ts';
import { ManualClock } from '../support/clock.ts';

describe('settledWithin()', () => {
  it('returns settled for a value and for a rejection, and leaves no timer', async () => {
    const clock = new ManualClock();
    expect(await settledWithin(Promise.resolve(1), { clock, ms: 10 })).toBe('settled');
    expect(await settledWithin(Promise.reject(new Error('no')), { clock, ms: 10 })).toBe('settled');
    expect(clock.pending).toBe(0);
  });

  it('returns expired when the time is over', async () => {
    const clock = new ManualClock();
    const outcome = settledWithin(new Promise(() => {}), { clock, ms: 10 });
    clock.advance(10);
    expect(await outcome).toBe('expired');
  });

  it('returns aborted for a signal aborted before or during the wait, and leaves no timer', async () => {
    const clock = new ManualClock();
    const never = new Promise(() => {});
    expect(await settledWithin(never, { clock, ms: 10, signal: AbortSignal.abort() })).toBe('aborted');
    const controller = new AbortController();
    const outcome = settledWithin(never, { clock, ms: 10, signal: controller.signal });
    controller.abort();
    expect(await outcome).toBe('aborted');
    expect(clock.pending).toBe(0);
  });
});
