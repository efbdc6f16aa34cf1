import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestHarness } from 'wrangler';

const server = createTestHarness({
  workers: [
    {
      config: {
        name: 'document-requests',
        main: 'test/worker/governance/document-requests.ts',
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

describe('CachedDocuments across requests of one isolate', () => {
  it('finishes the read of a request that ended, once, for those that wait for it', async () => {
    await ask('cache=1&readMs=600&leaveMs=50');
    expect(await Promise.all([ask('cache=1'), ask('cache=1')])).toEqual([
      { value: 'read 1', reads: 1 },
      { value: 'read 1', reads: 1 },
    ]);
  });

  it('reads again what the end of a request cut off', async () => {
    const cutOff = ask('cache=2&undeferred&readMs=60000&leaveMs=400');
    await moment();
    const waiting = [ask('cache=2&undeferred'), ask('cache=2&undeferred')];
    expect(await cutOff).toMatchObject({ value: 'left' });
    const startedAt = performance.now();
    for (const answer of await Promise.all(waiting)) {
      expect(answer).toMatchObject({ value: expect.stringMatching(/^read [23]$/) });
    }
    expect(await ask('cache=2&undeferred')).toMatchObject({ value: expect.stringMatching(/^read [23]$/) });
    // Well under the time that nobody waits longer than: nobody was helped by a timeout.
    expect(performance.now() - startedAt).toBeLessThan(2500);
  });

  it('is not held up by a read that died and that nobody waited for', async () => {
    await ask('cache=3&undeferred&readMs=60000&leaveMs=50');
    expect(await ask('cache=3&undeferred')).toEqual({ value: 'read 2', reads: 2 });
  });
});
