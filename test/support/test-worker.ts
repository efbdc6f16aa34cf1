/** A worker of `test/worker` in workerd, asked over HTTP in real time, so that its requests can end at any point. */
import { afterAll, beforeAll } from 'vitest';
import { createTestHarness } from 'wrangler';

/** Serves the worker `main` during the tests of a file. Returns a function that asks it and parses the answer. */
export function serveTestWorker(name: string, main: string): (query: string) => Promise<unknown> {
  const server = createTestHarness({
    workers: [{ config: { name, main, compatibility_date: '2026-11-01' } }],
  });
  beforeAll(() => server.listen());
  afterAll(() => server.close());
  return async (query) => {
    const response = await server.fetch(`/?${query}`);
    return response.json();
  };
}

/** Waits until the previous request has arrived. */
export function waitForArrival(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 100));
}
