import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Mutex, type TurnLimit } from '../../src/async/mutex.ts';
import { ManualClock } from '../support/clock.ts';

const refusal = (outcome: string) => new Error(outcome);

function limit(clock: ManualClock, options: Partial<TurnLimit> = {}): () => TurnLimit {
  return () => ({ clock, ms: 100, refusal, ...options });
}

describe('Mutex', () => {
  it('runs one task at a time, in the order of the calls, even if tasks fail or callers leave', async () => {
    const action = fc.constantFrom('succeed', 'fail', 'abort');
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(action, { maxLength: 12 }), async (scheduler, actions) => {
        const clock = new ManualClock();
        const mutex = new Mutex();
        const begun: number[] = [];
        let running = 0;
        const results = actions.map((action, index) => {
          const controller = new AbortController();
          if (action === 'abort') scheduler.schedule(Promise.resolve()).then(() => controller.abort());
          return mutex.run(
            async () => {
              expect(++running).toBe(1);
              expect(controller.signal.aborted).toBe(false);
              begun.push(index);
              await scheduler.schedule(Promise.resolve());
              running -= 1;
              if (action === 'fail') throw new Error('failed');
              return index;
            },
            limit(clock, { signal: controller.signal }),
          );
        });
        const settled = await scheduler.waitFor(Promise.allSettled(results));
        expect(begun).toEqual([...begun].sort((one, other) => one - other));
        settled.forEach((result, index) => {
          const outcome = result.status === 'fulfilled' ? result.value : String(result.reason);
          const ran = actions[index] === 'fail' ? 'Error: failed' : index;
          expect(outcome).toBe(begun.includes(index) ? ran : 'Error: aborted');
        });
        expect([mutex.size, clock.pending]).toEqual([0, 0]);
      }),
    );
  });

  it('does not ask for a limit if the task need not wait', async () => {
    const mutex = new Mutex();
    const limitNotExpected = () => {
      throw new Error('the mutex asked for a limit');
    };
    expect(await mutex.run(async () => 7, limitNotExpected)).toBe(7);
  });

  it('removes a task that waited too long, and keeps the place of the next', async () => {
    const clock = new ManualClock();
    const mutex = new Mutex();
    const gate = Promise.withResolvers<void>();
    const first = mutex.run(() => gate.promise, limit(clock));
    const second = mutex.run(async () => 'second', limit(clock, { ms: 10 }));
    const third = mutex.run(async () => 'third', limit(clock));
    clock.advance(10);
    await expect(second).rejects.toThrow('expired');
    expect(mutex.size).toBe(2);
    gate.resolve();
    await first;
    expect(await third).toBe('third');
  });

  it('is drained when its last task has left', async () => {
    const clock = new ManualClock();
    const mutex = new Mutex();
    const gate = Promise.withResolvers<void>();
    const first = mutex.run(() => gate.promise, limit(clock));
    const drained = mutex.drained().then(() => mutex.size);
    gate.reject(new Error('failed'));
    await expect(first).rejects.toThrow('failed');
    expect(await drained).toBe(0);
  });
});
