/** A request that is bound to a jurisdiction, with servers elsewhere that would notice a single byte of it. */
import { createServer } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { isEdgewiseError } from '../../src/errors.ts';
import type { Caller } from '../../src/governance/accounts/caller.ts';
import { scopesSchema, tenantSchema } from '../../src/governance/accounts/schema.ts';
import { residencyOf } from '../../src/http/caller/residency.ts';
import type { Endpoint } from '../../src/routing/types.ts';
import { echo, metadata, startOipServer } from '../routing/oip-server.ts';
import { closedUrl, endpointAt, type Handler, json } from '../routing/servers.ts';
import { binaryRequest } from '../support/binary-request.ts';
import { createFakeEngine, type FakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { bearer, publishTiny, type TestService, testService } from '../support/services.ts';

function tenantOf(residency?: string): Caller {
  const scopes = scopesSchema.parse({});
  const tenant = tenantSchema.parse({
    schema: 'edgewise.tenant.v1',
    id: 't42',
    name: 'A tenant',
    ...(residency && { residency }),
    createdAt: '2026-11-01T00:00:00.000Z',
  });
  return { kind: 'tenant', id: 'key-1', tenant, scopes };
}

describe('residencyOf()', () => {
  const others: readonly Caller[] = [
    { kind: 'anonymous' },
    { kind: 'key', id: 'k' },
    { kind: 'admin', id: 'a' },
    tenantOf(),
  ];

  it.each(others)("is the header's for $kind without a residency", (caller) => {
    expect(residencyOf(caller, undefined, undefined)).toBeUndefined();
    expect(residencyOf(caller, undefined, 'us')).toBeUndefined();
    expect(residencyOf(caller, 'eu', 'us')).toBe('eu');
  });

  it("is the tenant's on a server whose storage is there, without any header", () => {
    expect(residencyOf(tenantOf('eu'), undefined, 'eu')).toBe('eu');
    expect(residencyOf(tenantOf('eu'), 'eu', 'eu')).toBe('eu');
  });

  it.each([
    ['elsewhere', tenantOf('eu'), undefined, 'us'],
    ['nowhere in particular', tenantOf('eu'), undefined, undefined],
    ['elsewhere, and the header agrees', tenantOf('eu'), 'eu', 'us'],
    ['there, and the header asks for another', tenantOf('eu'), 'us', 'eu'],
    ['where the header asks for, which is not the tenant’s', tenantOf('eu'), 'us', 'us'],
  ] as const)('refuses a bound tenant on a server %s', (_, caller, header, here) => {
    expect(() => residencyOf(caller, header, here)).toThrow(
      expect.objectContaining({ code: 'residency_unavailable' }),
    );
  });

  it('refuses an unreadable header rather than ignore it', () => {
    for (const header of ['EU', '', 'e', 'eu;us', 'eu, us']) {
      for (const caller of [...others, tenantOf('eu')]) {
        expect(() => residencyOf(caller, header, 'eu')).toThrow(
          expect.objectContaining({ code: 'invalid_request' }),
        );
      }
    }
  });

  it("never ignores a tenant's residency or a request's header", () => {
    const places = fc.constantFrom('eu', 'us', 'ch', undefined);
    fc.assert(
      fc.property(places, places, places, (bond, header, here) => {
        try {
          const bound = residencyOf(tenantOf(bond), header, here);
          expect(bound).toBe(bond ?? header);
          if (header !== undefined) expect(bound).toBe(header);
          if (bond !== undefined) expect(here).toBe(bond);
        } catch (error) {
          expect(isEdgewiseError(error) && error.code).toBe('residency_unavailable');
          expect(bond !== undefined && (here !== bond || (header !== undefined && header !== bond))).toBe(
            true,
          );
        }
      }),
    );
  });
});

interface Foreign {
  readonly endpoints: readonly Endpoint[];
  /** Connections, and bytes over them. */
  readonly seen: { connections: number; bytes: number };
}

/** Endpoints of no jurisdiction, of another one, and of one that begins with the same letters: each would be first choice. */
async function foreignEndpoints(): Promise<Foreign> {
  const seen = { connections: 0, bytes: 0 };
  const server = createServer((socket) => {
    seen.connections += 1;
    socket.on('data', (bytes) => {
      seen.bytes += bytes.byteLength;
      socket.destroy();
    });
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const url = `http://127.0.0.1:${address.port}`;
  return {
    seen,
    endpoints: [
      endpointAt(url, { name: 'us', jurisdiction: 'us', weight: 1000 }),
      endpointAt(url, { name: 'unbound', weight: 1000 }),
      endpointAt(url, { name: 'eu-near', jurisdiction: 'eu-near', weight: 1000 }),
    ],
  };
}

const spec = { name: 'x', datatype: 'FP32' as const, shape: [-1, 2] };
const graph = (runBytes = 0) =>
  fakeGraph({ op: 'identity', inputs: [spec], outputs: [spec], sessionBytes: 65_536, runBytes });

interface Setting {
  readonly edge: TestService;
  readonly engine: FakeEngine;
  readonly foreign: Foreign;
}

interface SettingOptions {
  /** Endpoints under `eu`. */
  readonly eu: readonly Endpoint[];
  /** Of the edge. */
  readonly jurisdiction?: string;
  readonly originOnly?: boolean;
  readonly variables?: Readonly<Record<string, string>>;
  /** What a run takes at the edge, of 1 MB. */
  readonly runBytes?: number;
}

async function setting({
  eu,
  jurisdiction,
  originOnly,
  variables,
  runBytes,
}: SettingOptions): Promise<Setting> {
  const foreign = await foreignEndpoints();
  const engine = createFakeEngine({ memoryCapBytes: 1_000_000 });
  const edge = await testService({
    engine,
    endpoints: [...foreign.endpoints, ...eu],
    variables: { ...variables, ...(jurisdiction && { EDGEWISE_JURISDICTION: jurisdiction }) },
  });
  const model = { name: 'echo', inputs: [spec], outputs: [spec] };
  await publishTiny(edge, graph(runBytes), { ...model, ...(originOnly && { tier: 'origin' as const }) }, [
    'stable',
  ]);
  await publishTiny(edge, graph(runBytes), { ...model, version: '2', tier: 'origin' });
  await publishTiny(edge, graph(runBytes), { ...model, version: '3' });
  return { edge, engine, foreign };
}

const bound = { 'Edgewise-Jurisdiction': 'eu' };

function infer({ edge }: Setting, headers: Record<string, string> = bound): Promise<Response> {
  return edge.fetch('/v2/models/echo/versions/stable/infer', {
    method: 'POST',
    headers,
    body: JSON.stringify({ inputs: [{ ...spec, shape: [1, 2], data: [0.5, -2] }] }),
  });
}

async function outcome(answer: Response | Promise<Response>) {
  const { status, headers } = await answer;
  return [status, headers.get('Edgewise-Error') ?? headers.get('Edgewise-Tier')];
}

const untouched = { connections: 0, bytes: 0 };

const failures: readonly [string, Handler][] = [
  ['fails', (_, response) => json(response, 500, { error: 'out of order' })],
  [
    'is away for maintenance',
    (_, response) => json(response, 503, { error: 'down' }, { 'Retry-After': '9' }),
  ],
  ['lacks the model', (_, response) => json(response, 404, { error: 'no model' })],
  ['refuses our key', (_, response) => json(response, 401, { error: 'who are you' })],
  ['answers rubbish', (_, response) => json(response, 200, 'rubbish')],
  ['breaks off', (_, response) => response.destroy()],
  [
    'breaks off in the middle of its answer',
    (_, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 1000 });
      response.write('{"outputs"');
      setTimeout(() => response.destroy(), 5);
    },
  ],
  ['does not answer in time', () => undefined],
  [
    'redirects to another server',
    (_, response) => {
      response.writeHead(307, { Location: 'http://127.0.0.1:9/elsewhere' });
      response.end();
    },
  ],
];

describe('a request that is bound to a jurisdiction', () => {
  const euAt = (url: string, name = 'eu') =>
    endpointAt(url, { name, jurisdiction: 'eu', timeoutMs: 100, binary: true });

  it.each(failures)(
    'is refused without asking another server if the only server of the jurisdiction %s',
    async (_, handler) => {
      const server = await startOipServer(handler);
      for (const jurisdiction of [undefined, 'us']) {
        const where = await setting({ eu: [euAt(server.url)], ...(jurisdiction && { jurisdiction }) });
        for (let count = 0; count < 3; count += 1) {
          expect(await outcome(infer(where))).toEqual([451, 'residency_unavailable']);
        }
        expect(where.foreign.seen).toEqual(untouched);
        expect(where.engine.runsDone).toBe(0);
      }
      expect(server.inferences.length).toBeGreaterThan(0);
    },
  );

  it('is refused if no server of the jurisdiction listens', async () => {
    const where = await setting({ eu: [euAt(await closedUrl())] });
    expect(await outcome(infer(where))).toEqual([451, 'residency_unavailable']);
    expect([where.foreign.seen, where.engine.runsDone]).toEqual([untouched, 0]);
  });

  it('is refused with a Retry-After if the only server of the jurisdiction is full', async () => {
    const server = await startOipServer((_, response) => json(response, 429, {}, { 'Retry-After': '3' }));
    const where = await setting({ eu: [euAt(server.url)] });
    expect(await outcome(infer(where))).toEqual([429, 'overloaded']);
    expect([where.foreign.seen, where.engine.runsDone]).toEqual([untouched, 0]);
  });

  it('is retried in the jurisdiction only', async () => {
    const failing = await startOipServer((_, response) => json(response, 500, {}));
    const well = await startOipServer(echo);
    const where = await setting({ eu: [euAt(failing.url, 'failing'), euAt(well.url, 'well')] });
    for (let count = 0; count < 10; count += 1) {
      expect(await outcome(infer(where))).toEqual([200, 'origin']);
    }
    expect([failing, well].every(({ inferences }) => inferences.length > 0)).toBe(true);
    expect(where.foreign.seen).toEqual(untouched);
  });

  it('is hedged in the jurisdiction only', async () => {
    let isSlow = false;
    const slowly: Handler = (request, response) => {
      if (isSlow) setTimeout(() => echo(request, response), 60);
      else echo(request, response);
    };
    const servers = [await startOipServer(slowly), await startOipServer(slowly)];
    const where = await setting({
      eu: servers.map(({ url }, at) =>
        endpointAt(url, { name: `eu-${at}`, jurisdiction: 'eu', binary: true }),
      ),
    });
    for (let count = 0; count < 120; count += 1) await infer(where);
    isSlow = true;
    for (let count = 0; count < 4; count += 1) expect(await outcome(infer(where))).toEqual([200, 'origin']);
    const { hedges } = where.edge.services.origin?.snapshot().budgets ?? { hedges: 0 };
    expect(hedges).toBeGreaterThan(0);
    expect(where.foreign.seen).toEqual(untouched);
  });

  it.each(failures)(
    'is not streamed elsewhere if the only server of the jurisdiction %s',
    async (how, handler) => {
      const server = await startOipServer(handler);
      const where = await setting({
        eu: [euAt(server.url)],
        originOnly: true,
        variables: { EDGEWISE_MAX_REPLAY_MIB: '1' },
      });
      const rows = 160_000;
      const { body, headers, method } = binaryRequest('x', [rows, 2], new Float32Array(rows * 2));
      const answer = await where.edge.fetch('/v2/models/echo/infer', {
        method,
        body,
        headers: { ...headers, ...bound, 'Content-Length': String(body.byteLength) },
      });
      // An answer that began goes on as it comes: what it is, is the caller's to see.
      const begins = how === 'answers rubbish' || how === 'breaks off in the middle of its answer';
      expect(answer.status).toBe(begins ? 200 : 451);
      await answer.arrayBuffer().catch(() => undefined);
      expect([where.foreign.seen, where.engine.runsDone]).toEqual([untouched, 0]);
    },
  );

  it('falls back from an edge in the jurisdiction to servers in it only', async () => {
    const failing = await startOipServer((_, response) => json(response, 500, {}));
    const where = await setting({ eu: [euAt(failing.url)], jurisdiction: 'eu', runBytes: 2_000_000 });
    const answer = await infer(where);
    // The edge ran out of memory first.
    expect(await outcome(answer)).toEqual([503, 'no_capacity']);
    expect(failing.inferences.length).toBeGreaterThan(0);
    expect(where.foreign.seen).toEqual(untouched);
    const later = await outcome(infer(where));
    expect(later[0]).toBeGreaterThanOrEqual(429);
    expect(where.foreign.seen).toEqual(untouched);
  });

  it('is answered by an edge in the jurisdiction if the servers there fail', async () => {
    const failing = await startOipServer((_, response) => json(response, 500, {}));
    const where = await setting({ eu: [euAt(failing.url)], jurisdiction: 'eu' });
    const answer = await infer(where, { ...bound, 'Edgewise-Tier': 'origin' });
    expect(await outcome(answer)).toEqual([200, 'edge']);
    expect(answer.headers.get('Edgewise-Reason')).toBe('origin-unavailable');
    expect(failing.inferences.length).toBeGreaterThan(0);
    expect(where.foreign.seen).toEqual(untouched);
  });

  it.each([
    ['answers', echo],
    ['fails', (_, response) => json(response, 500, {})],
  ] as const satisfies readonly (readonly [string, Handler])[])(
    'is copied only to a server there, which %s',
    async (_, handler) => {
      const server = await startOipServer(handler);
      const where = await setting({ eu: [euAt(server.url)], jurisdiction: 'eu' });
      await where.edge.services.publisher.setShadow('echo', 'stable', {
        version: '2',
        tier: 'origin',
        percent: 100,
      });
      where.edge.services.repository.invalidate('echo');
      expect(await outcome(infer(where))).toEqual([200, 'edge']);
      const figures = () => where.edge.services.shadows?.figures.ofModel('echo')[0];
      await vi.waitFor(() =>
        expect((figures()?.compared ?? 0) + (figures()?.failed ?? 0) + (figures()?.unlike ?? 0)).toBe(1),
      );
      expect(server.inferences.length).toBeGreaterThan(0);
      expect(where.foreign.seen).toEqual(untouched);
    },
  );

  it('is not copied to an edge outside that passed it on', async () => {
    const server = await startOipServer(echo);
    const where = await setting({ eu: [euAt(server.url)], jurisdiction: 'us' });
    await where.edge.services.publisher.setShadow('echo', 'stable', { version: '3', percent: 100 });
    where.edge.services.repository.invalidate('echo');
    expect(await outcome(infer(where))).toEqual([200, 'origin']);
    await vi.waitFor(() => expect(where.edge.services.shadows?.figures.ofModel('echo')[0]?.compared).toBe(1));
    expect(server.inferences).toHaveLength(2);
    expect([where.foreign.seen, where.engine.runsDone]).toEqual([untouched, 0]);
  });

  /** A key of a tenant that is bound to `eu`. */
  async function boundKey({ edge }: Setting): Promise<Record<string, string>> {
    const store = edge.services.accounts?.store ?? expect.fail('no accounts');
    await store.createTenant({ id: 't42', name: 'A tenant', residency: 'eu', fieldsOfUse: [] });
    const { text } = await store.createKey('t42', { scopes: scopesSchema.parse({}) });
    return bearer(text);
  }

  it('of a bound tenant is answered and recorded in the jurisdiction, and refused if the servers there fail', async () => {
    let fails = false;
    const server = await startOipServer((request, response) =>
      fails ? json(response, 500, {}) : echo(request, response),
    );
    const where = await setting({ eu: [euAt(server.url)], jurisdiction: 'eu', originOnly: true });
    const key = await boundKey(where);
    const answer = await infer(where, key);
    expect(await outcome(answer)).toEqual([200, 'origin']);
    const receipt = answer.headers.get('Edgewise-Receipt')?.split('.')[1] ?? '';
    expect(JSON.parse(Buffer.from(receipt, 'base64url').toString())).toMatchObject({
      caller: { tenant: 't42' },
      route: { tier: 'origin', jurisdiction: 'eu' },
    });
    fails = true;
    for (let count = 0; count < 3; count += 1) {
      expect(await outcome(infer(where, key))).toEqual([451, 'residency_unavailable']);
    }
    expect([where.foreign.seen, where.engine.runsDone]).toEqual([untouched, 0]);
  });

  it.each([undefined, 'us'])(
    'is not even passed on for a tenant of elsewhere, by an edge in %s',
    async (here) => {
      const server = await startOipServer(echo);
      const where = await setting({ eu: [euAt(server.url)], ...(here && { jurisdiction: here }) });
      const key = await boundKey(where);
      for (const headers of [key, { ...key, ...bound }, { ...key, 'Edgewise-Jurisdiction': 'us' }]) {
        expect(await outcome(infer(where, headers))).toEqual([451, 'residency_unavailable']);
      }
      expect([server.received, where.foreign.seen, where.engine.runsDone]).toEqual([[], untouched, 0]);
    },
  );

  it("is not freed by a header from its tenant's residency", async () => {
    const server = await startOipServer(echo);
    const where = await setting({ eu: [euAt(server.url)], jurisdiction: 'eu' });
    const key = await boundKey(where);
    expect(await outcome(infer(where, { ...key, 'Edgewise-Jurisdiction': 'us' }))).toEqual([
      451,
      'residency_unavailable',
    ]);
    expect(await outcome(infer(where, { ...key, ...bound }))).toEqual([200, 'edge']);
    expect(where.foreign.seen).toEqual(untouched);
  });

  it('may run elsewhere if it is not bound, so the other servers do listen', async () => {
    const where = await setting({ eu: [], originOnly: true });
    const leaving = new AbortController();
    const answer = where.edge.fetch('/v2/models/echo/infer', {
      method: 'POST',
      signal: leaving.signal,
      headers: { 'Edgewise-Timeout-Ms': '300' },
      body: JSON.stringify({ inputs: [{ ...spec, shape: [1, 2], data: [0.5, -2] }] }),
    });
    await vi.waitFor(() => expect(where.foreign.seen.bytes).toBeGreaterThan(100));
    await answer;
  });

  it('does not even ask other servers for their capabilities', async () => {
    // An endpoint that says nothing of binary tensors is asked by GET /v2 first.
    const server = await startOipServer(echo, metadata([]));
    const where = await setting({ eu: [endpointAt(server.url, { name: 'eu', jurisdiction: 'eu' })] });
    expect(await outcome(infer(where))).toEqual([200, 'origin']);
    expect(where.foreign.seen).toEqual(untouched);
  });
});
