import { describe, expect, it } from 'vitest';
import {
  isCurrent,
  isWorthWriting,
  type PoolHealth,
  parsePoolHealth,
} from '../../src/routing/pool-health.ts';
import { type ProbeOptions, probeEndpoints } from '../../src/routing/probe.ts';
import type { Endpoint } from '../../src/routing/types.ts';
import { ManualClock } from '../support/clock.ts';
import { metadata } from './oip-server.ts';
import { closedUrl, endpointAt, json, startServer } from './servers.ts';

const startMs = Date.parse('2026-11-24T06:00:00.000Z');
const minute = 60_000;

function probe(endpoints: readonly Endpoint[], options: Partial<ProbeOptions> = {}): Promise<PoolHealth> {
  return probeEndpoints(endpoints, {
    clock: new ManualClock(),
    timeoutMs: 2000,
    wallClock: () => startMs,
    ...options,
  });
}

function health(endpoints: PoolHealth['endpoints'], checkedAtMs = startMs): PoolHealth {
  return {
    schema: 'edgewise.pool-health.v1',
    checkedAt: new Date(checkedAtMs).toISOString(),
    endpoints,
  };
}

const since = new Date(startMs).toISOString();
const up = { state: 'up', since } as const;
const down = { state: 'down', since } as const;

describe('probeEndpoints()', () => {
  it('finds a ready endpoint up, and reads its capabilities', async () => {
    const server = await startServer((request, response) =>
      request.url === '/v2' ? json(response, 200, metadata()) : json(response, 200, '{"live":true}'),
    );
    expect(await probe([endpointAt(server.url)])).toEqual(
      health({ one: { ...up, capabilities: { binary: true, scalars: false, server: 'triton 2.51.0' } } }),
    );
    expect(server.received).toMatchObject([
      { url: '/v2/health/ready', headers: { authorization: 'Bearer origin-key' } },
      { url: '/v2' },
    ]);
  });

  it("asks a server of OpenAI's protocol for its models, and does not ask for what the configuration says", async () => {
    const server = await startServer((_, response) => json(response, 200, { object: 'list', data: [] }));
    const found = await probe([
      endpointAt(server.url, { name: 'chat', protocol: 'openai' }),
      endpointAt(server.url, { name: 'told', binary: true }),
    ]);
    expect(found).toEqual(health({ chat: up, told: up }));
    expect(server.received.map(({ url }) => url).sort()).toEqual(['/v1/models', '/v2/health/ready']);
  });

  it('finds an endpoint down that is not ready or not reachable, and says why', async () => {
    const server = await startServer((_, response) => json(response, 400, { error: 'loading' }));
    const reasons: string[] = [];
    const endpoints = [
      endpointAt(server.url, { name: 'loading' }),
      endpointAt(await closedUrl(), { name: 'away' }),
    ];
    const found = await probe(endpoints, {
      onDown: ({ endpoint, reason }) => reasons.push(`${endpoint}: ${reason}`),
    });
    expect(found).toEqual(health({ loading: down, away: down }));
    expect(reasons.sort()).toEqual([
      expect.stringMatching(/^away: could not be reached.*ECONNREFUSED/),
      'loading: answered GET /v2/health/ready with status 400',
    ]);
  });

  it('does not wait for an endpoint that never answers', async () => {
    const clock = new ManualClock();
    const server = await startServer(() => clock.advance(2000));
    expect(await probe([endpointAt(server.url)], { clock })).toEqual(health({ one: down }));
    expect(clock.pending).toBe(0);
  });

  it('finds an endpoint with unreadable metadata up', async () => {
    const server = await startServer((request, response) =>
      json(response, request.url === '/v2' ? 500 : 200, {}),
    );
    expect(await probe([endpointAt(server.url)])).toEqual(health({ one: up }));
  });

  it('keeps `since` and the capabilities if nothing new is learned', async () => {
    const capabilities = { binary: true };
    const earlier = new Date(startMs - minute).toISOString();
    const before = health({
      one: { state: 'down', since: earlier, capabilities },
      two: { state: 'up', since: earlier, capabilities },
    });
    const url = await closedUrl();
    const endpoints = ['one', 'two'].map((name) => endpointAt(url, { name }));
    expect(await probe(endpoints, { before })).toEqual(
      health({
        one: { state: 'down', since: earlier, capabilities },
        two: { state: 'down', since, capabilities },
      }),
    );
  });

  it('has at most six requests waiting for an answer', async () => {
    let waiting = 0;
    let most = 0;
    const fetchSlowly: Endpoint['fetch'] = async () => {
      waiting += 1;
      most = Math.max(most, waiting);
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
      waiting -= 1;
      return Response.json(metadata());
    };
    const endpoints = Array.from({ length: 40 }, (_, index) => ({
      ...endpointAt('http://origin.test', { name: `e${index}` }),
      fetch: fetchSlowly,
    }));
    const found = await probe(endpoints);
    expect(Object.values(found.endpoints).map(({ state }) => state)).toEqual(Array(40).fill('up'));
    expect(most).toBe(6);
  });

  it('returns a document that parsePoolHealth() accepts', async () => {
    const found = await probe([endpointAt(await closedUrl())]);
    expect(parsePoolHealth(JSON.parse(JSON.stringify(found)))).toEqual(found);
  });
});

describe('parsePoolHealth()', () => {
  it.each([
    null,
    'x',
    {},
    { ...health({}), schema: 'edgewise.pool-health.v0' },
    { ...health({}), endpoints: [] },
  ])('returns undefined for %j', (value) => {
    expect(parsePoolHealth(value)).toBeUndefined();
  });
});

describe('isWorthWriting()', () => {
  const binary = { ...up, capabilities: { binary: true } };

  it.each<[string, PoolHealth | undefined, PoolHealth, boolean]>([
    ['nothing was known', undefined, health({}), true],
    ['nothing is new', health({ one: up }), health({ one: up }, startMs + minute), false],
    ['it is old', health({ one: up }), health({ one: up }, startMs + 10 * minute), true],
    ['one went down', health({ one: up }), health({ one: down }), true],
    ['one came', health({ one: up }), health({ one: up, two: up }), true],
    ['one went', health({ one: up, two: up }), health({ one: up }), true],
    ['one has another name', health({ one: up }), health({ two: up }), true],
    ['one can do more', health({ one: up }), health({ one: binary }), true],
    [
      'one was renewed',
      health({ one: binary }),
      health({ one: { ...binary, capabilities: { binary: true, server: 'x 2' } } }),
      true,
    ],
    ['all is as before', health({ one: binary }), health({ one: binary }), false],
  ])('decides for %s, %#', (_, before, after, answer) => {
    expect(isWorthWriting(before, after)).toBe(answer);
  });
});

describe('isCurrent()', () => {
  it('is true for results less than twenty minutes old', () => {
    expect(isCurrent(health({}), startMs + 20 * minute - 1)).toBe(true);
    expect(isCurrent(health({}), startMs + 20 * minute)).toBe(false);
  });
});
