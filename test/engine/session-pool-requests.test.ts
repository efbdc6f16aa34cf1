import { describe, expect, it } from 'vitest';
import { serveTestWorker, waitForArrival } from '../support/test-worker.ts';

const ask = serveTestWorker('pool-requests', 'test/worker/engine/pool-requests.ts');

/** Well below the pool's limits of 5 s, so that no timeout helped. */
const soonMs = 2500;

describe('SessionPool across requests of one isolate', () => {
  it('finishes the load of a request that ended, once, for the requests that wait for it', async () => {
    await ask('pool=1&model=a&loadMs=600&leaveMs=50');
    expect(await Promise.all([ask('pool=1&model=a'), ask('pool=1&model=a')])).toMatchObject([
      { result: 'ran', loads: ['a'] },
      { result: 'ran', loads: ['a'] },
    ]);
  });

  it('repeats a load that was cut off with its request, once', { timeout: 2 * soonMs }, async () => {
    const cutOff = ask('pool=2&model=a&undeferred&loadMs=60000&leaveMs=400');
    await waitForArrival();
    const waiting = [ask('pool=2&model=a&undeferred'), ask('pool=2&model=a&undeferred')];
    await cutOff;
    const startedAt = performance.now();
    expect(await Promise.all(waiting)).toMatchObject([
      { result: 'ran' },
      { result: 'ran', loads: ['a', 'a'] },
    ]);
    expect(await ask('pool=2&model=a&undeferred')).toMatchObject({ loads: ['a', 'a'] });
    expect(performance.now() - startedAt).toBeLessThan(soonMs);
  });

  it('skips a request that ended while it waited', async () => {
    await ask('pool=3&model=a');
    const first = ask('pool=3&model=a&runMs=800');
    await waitForArrival();
    await ask('pool=3&model=a&leaveMs=50');
    const startedAt = performance.now();
    expect(await ask('pool=3&model=a')).toMatchObject({ result: 'ran', loads: ['a'] });
    expect(await first).toMatchObject({ result: 'ran' });
    expect(performance.now() - startedAt).toBeLessThan(soonMs);
  });

  it('replaces a session whose run was cut off, for waiting and later requests', async () => {
    await ask('pool=4&model=a');
    const cutOff = ask('pool=4&model=a&runMs=60000&leaveMs=400');
    await waitForArrival();
    const waiting = ask('pool=4&model=a');
    await cutOff;
    const startedAt = performance.now();
    expect(await waiting).toMatchObject({ result: 'ran', loads: ['a', 'a'] });
    await ask('pool=4&model=a&runMs=60000&leaveMs=50');
    expect(await ask('pool=4&model=a')).toMatchObject({ result: 'ran', loads: ['a', 'a', 'a'] });
    expect(performance.now() - startedAt).toBeLessThan(soonMs);
  });

  it('frees the memory of a session whose run was cut off', async () => {
    await ask('pool=5&model=a');
    await ask('pool=5&model=a&runMs=60000&leaveMs=50');
    const startedAt = performance.now();
    expect(await ask('pool=5&model=b')).toMatchObject({
      result: 'ran',
      loads: ['a', 'b'],
      snapshot: { bytes: 10, releases: 1 },
    });
    expect(performance.now() - startedAt).toBeLessThan(soonMs);
  });
});
