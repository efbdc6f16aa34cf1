import { describe, expect, it } from 'vitest';
import { Capabilities } from '../../src/routing/capabilities.ts';
import { ManualClock } from '../support/clock.ts';
import { failureOf } from './attempts.ts';
import { metadata } from './oip-server.ts';
import { endpointAt, type Handler, json, startServer } from './servers.ts';

const tenMinutesMs = 600_000;
const { signal } = new AbortController();

function setUp() {
  const clock = new ManualClock();
  const deferred: Promise<unknown>[] = [];
  const capabilities = new Capabilities({ clock, defer: (work) => deferred.push(work) });
  return { clock, deferred, capabilities };
}

/** A server whose metadata can be changed. */
async function metadataServer(first: Handler) {
  let answer = first;
  const server = await startServer((request, response) => answer(request, response));
  return {
    ...server,
    set(next: Handler) {
      answer = next;
    },
  };
}

const says =
  (body: unknown, status = 200): Handler =>
  (_, response) =>
    json(response, status, body);

describe('Capabilities', () => {
  it('asks an endpoint once in ten minutes', async () => {
    const { clock, capabilities } = setUp();
    const server = await metadataServer(says(metadata()));
    const endpoint = endpointAt(`${server.url}/base/`);
    expect(await capabilities.of(endpoint, signal)).toEqual({
      binary: true,
      scalars: false,
      server: 'triton 2.51.0',
    });
    clock.advance(tenMinutesMs - 1);
    expect(capabilities.of(endpoint, signal)).toEqual({
      binary: true,
      scalars: false,
      server: 'triton 2.51.0',
    });
    expect(server.received).toMatchObject([
      { method: 'GET', url: '/base/v2', headers: { authorization: 'Bearer origin-key' } },
    ]);
  });

  it('does not ask if the configuration says what the endpoint supports', async () => {
    const { capabilities } = setUp();
    for (const binary of [true, false]) {
      expect(capabilities.of(endpointAt('http://127.0.0.1:1', { binary }), signal)).toEqual({ binary });
    }
  });

  it('uses stale capabilities, and reads them again once in the background', async () => {
    const { clock, deferred, capabilities } = setUp();
    const server = await metadataServer(says(metadata()));
    const endpoint = endpointAt(server.url);
    await capabilities.of(endpoint, signal);
    server.set(says(metadata([])));
    clock.advance(tenMinutesMs);
    expect(capabilities.of(endpoint, signal)).toMatchObject({ binary: true });
    expect(capabilities.of(endpoint, signal)).toMatchObject({ binary: true });
    expect(deferred).toHaveLength(1);
    await Promise.all(deferred);
    expect(capabilities.of(endpoint, signal)).toMatchObject({ binary: false });
    expect(server.received).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });

  it('keeps the known capabilities if reading fails or hangs, and tries again', async () => {
    const { clock, deferred, capabilities } = setUp();
    const server = await metadataServer(says(metadata()));
    const endpoint = endpointAt(server.url);
    await capabilities.of(endpoint, signal);
    let asked: () => void;
    const asking = new Promise<void>((resolve) => {
      asked = resolve;
    });
    server.set(() => asked());
    clock.advance(tenMinutesMs);
    capabilities.of(endpoint, signal);
    await asking;
    clock.advance(10_000);
    await Promise.all(deferred);
    server.set(says({}, 500));
    expect(capabilities.of(endpoint, signal)).toMatchObject({ binary: true });
    await Promise.all(deferred);
    expect(deferred).toHaveLength(2);
    expect(capabilities.of(endpoint, signal)).toMatchObject({ binary: true });
  });

  it('shares no promise: simultaneous requests each ask', async () => {
    const { capabilities } = setUp();
    const server = await metadataServer(says(metadata()));
    const endpoint = endpointAt(server.url);
    await Promise.all([capabilities.of(endpoint, signal), capabilities.of(endpoint, signal)]);
    expect(server.received).toHaveLength(2);
  });

  it('takes a hint for an unknown endpoint, and reads its capabilities itself', async () => {
    const { deferred, capabilities } = setUp();
    const server = await metadataServer(says(metadata()));
    const endpoint = endpointAt(server.url);
    capabilities.seed('one', { binary: false });
    expect(capabilities.of(endpoint, signal)).toEqual({ binary: false });
    await Promise.all(deferred);
    capabilities.seed('one', { binary: false });
    expect(capabilities.of(endpoint, signal)).toMatchObject({ binary: true });
  });

  it.each([404, 405, 501])(
    'treats a server that answers %d as one that accepts JSON only',
    async (status) => {
      const { capabilities } = setUp();
      const server = await metadataServer(says({ error: 'no such route' }, status));
      expect(await capabilities.of(endpointAt(server.url), signal)).toEqual({ binary: false });
    },
  );

  it.each<[string, Handler, string]>([
    ['an error', says({}, 500), 'answered GET /v2 with status 500'],
    ['no metadata', says('"hello"'), 'its answer to GET /v2 is not usable'],
    ['a page', says('<html>'), 'its answer to GET /v2 is not valid JSON'],
    ['a book', says(JSON.stringify({ name: 'x'.repeat(70_000) })), 'more than 65536 bytes'],
    ['nothing', (_, response) => response.destroy(), 'could not be reached'],
  ])(
    'fails for an endpoint that answers with %s, and asks again the next time',
    async (_, handler, reason) => {
      const { capabilities } = setUp();
      const server = await metadataServer(handler);
      const endpoint = endpointAt(server.url);
      expect(await failureOf(Promise.resolve(capabilities.of(endpoint, signal)))).toMatchObject({
        outcome: 'failure',
        code: 'origin_unavailable',
        reason: expect.stringContaining(reason),
      });
      server.set(says(metadata()));
      expect(await capabilities.of(endpoint, signal)).toMatchObject({ binary: true });
    },
  );
});
