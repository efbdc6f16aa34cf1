import { describe, expect, it } from 'vitest';
import { serveTestWorker, waitForArrival } from '../support/test-worker.ts';

const ask = serveTestWorker('document-requests', 'test/worker/governance/document-requests.ts');

describe('CachedDocuments across requests of one isolate', () => {
  it('completes the read of a request that ended, once, for the requests that wait for it', async () => {
    await ask('cache=1&readMs=600&leaveMs=50');
    expect(await Promise.all([ask('cache=1'), ask('cache=1')])).toEqual([
      { value: 'read 1', reads: 1 },
      { value: 'read 1', reads: 1 },
    ]);
  });

  it('reads again if the end of a request cut off the read', async () => {
    const cutOff = ask('cache=2&undeferred&readMs=60000&leaveMs=400');
    await waitForArrival();
    const waiting = [ask('cache=2&undeferred'), ask('cache=2&undeferred')];
    expect(await cutOff).toMatchObject({ value: 'left' });
    const startedAt = performance.now();
    for (const answer of await Promise.all(waiting)) {
      expect(answer).toMatchObject({ value: expect.stringMatching(/^read [23]$/) });
    }
    expect(await ask('cache=2&undeferred')).toMatchObject({ value: expect.stringMatching(/^read [23]$/) });
    // Well under the timeout of a waiting request: the timeout did not help.
    expect(performance.now() - startedAt).toBeLessThan(2500);
  });

  it('is not delayed by a read that was cut off without another request waiting for it', async () => {
    await ask('cache=3&undeferred&readMs=60000&leaveMs=50');
    expect(await ask('cache=3&undeferred')).toEqual({ value: 'read 2', reads: 2 });
  });
});
