import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestHarness } from 'wrangler';

const server = createTestHarness({
  workers: [
    {
      config: {
        name: 'pool-requests',
        main: 'test/worker/engine/pool-requests.ts',
        compatibility_date: '2026-11-01',
      },
    },
  ],
});
beforeAll(() => server.listen());
afterAll(() => server.close());

async function ask(query: string): Promise<unknown> {
  const response = await server.fetch(`/?${query}`);
  return response.json();
}

/** Long enough for the request before to have arrived. */
const moment = () => new Promise((resolve) => setTimeout(resolve, 100));

/** Well under the pool's own limits of 5 s: nobody was helped by a timeout. */
const soonMs = 2500;

describe('SessionPool across requests of one isolate', () => {
  it('finishes the load of a request that ended, once, for those that wait for it', async () => {
    await ask('pool=1&model=a&loadMs=600&leaveMs=50');
    expect(await Promise.all([ask('pool=1&model=a'), ask('pool=1&model=a')])).toMatchObject([
      { result: 'ran', loads: ['a'] },
      { result: 'ran', loads: ['a'] },
    ]);
  });

  it('loads anew, once, what the end of a request cut off', { timeout: 2 * soonMs }, async () => {
    const cutOff = ask('pool=2&model=a&undeferred&loadMs=60000&leaveMs=400');
    await moment();
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

  it('passes over a request that ended while it waited', async () => {
    await ask('pool=3&model=a');
    const first = ask('pool=3&model=a&runMs=800');
    await moment();
    await ask('pool=3&model=a&leaveMs=50');
    const startedAt = performance.now();
    expect(await ask('pool=3&model=a')).toMatchObject({ result: 'ran', loads: ['a'] });
    expect(await first).toMatchObject({ result: 'ran' });
    expect(performance.now() - startedAt).toBeLessThan(soonMs);
  });

  it('makes a session anew whose run was cut off, for whoever waits behind it or comes later', async () => {
    await ask('pool=4&model=a');
    const cutOff = ask('pool=4&model=a&runMs=60000&leaveMs=400');
    await moment();
    const waiting = ask('pool=4&model=a');
    await cutOff;
    const startedAt = performance.now();
    expect(await waiting).toMatchObject({ result: 'ran', loads: ['a', 'a'] });
    await ask('pool=4&model=a&runMs=60000&leaveMs=50');
    expect(await ask('pool=4&model=a')).toMatchObject({ result: 'ran', loads: ['a', 'a', 'a'] });
    expect(performance.now() - startedAt).toBeLessThan(soonMs);
  });

  it('takes the room of a session whose run was cut off', async () => {
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
