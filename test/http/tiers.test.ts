/** Edge and origin together, in one process: the real app on either side, a fetch that can be made to fail between them. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { EdgewiseError } from '../../src/errors.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import type { EndpointConfig } from '../../src/routing/endpoint-config.ts';
import type { Endpoint } from '../../src/routing/types.ts';
import { endpointAt } from '../routing/servers.ts';
import { binaryRequest, readBinary } from '../support/binary-request.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import {
  adminKey,
  bearer,
  callerKey,
  publishTiny,
  type TestService,
  testService,
} from '../support/services.ts';

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 2] });
const signature = { inputs: [spec('x')], outputs: [spec('y')] };
const graph = (sizes: { sessionBytes?: number; runBytes?: number } = {}) =>
  fakeGraph({ op: 'identity', ...signature, sessionBytes: 65_536, ...sizes });
const body = {
  method: 'POST',
  body: JSON.stringify({ inputs: [{ ...spec('x'), shape: [1, 2], data: [0.5, -2] }] }),
};
const withHeaders = (headers: Record<string, string>) => ({ ...body, headers });

interface Wire {
  /** What the edge sent to the origin. */
  readonly asked: { readonly endpoint: string; readonly path: string; readonly init: RequestInit }[];
  /** Answers in the origin's place. */
  instead: ((init: RequestInit) => Promise<Response>) | undefined;
}

let wire: Wire;
let origin: TestService;
beforeEach(async () => {
  wire = { asked: [], instead: undefined };
  origin = await testService({ tier: 'origin', engine: createFakeEngine() });
});

function endpoint(config: Partial<EndpointConfig> = {}): Endpoint {
  const made = endpointAt('http://origin.test', config);
  return {
    ...made,
    headers: bearer(callerKey),
    fetch: (url, init) => {
      const path = new URL(url).pathname;
      wire.asked.push({ endpoint: made.config.name, path, init });
      return wire.instead?.(init) ?? origin.fetch(path, init);
    },
  };
}

/** An edge with this pool, and the model published on both sides. */
async function edgeWith(
  model: Partial<Manifest> & { readonly graph?: never } = {},
  options: Parameters<typeof testService>[0] & { readonly graphBytes?: Uint8Array<ArrayBuffer> } = {},
): Promise<TestService> {
  const edge = await testService({ engine: createFakeEngine(), endpoints: [endpoint()], ...options });
  const bytes = options.graphBytes ?? graph();
  await publishTiny(edge, bytes, { name: 'echo', ...signature, ...model }, ['stable']);
  await publishTiny(origin, bytes, { name: 'echo', ...signature, ...model }, ['stable']);
  return edge;
}

const originOnly = { tier: 'origin' as const, edgeProfile: undefined as never };

async function outcome(answer: Response | Promise<Response>) {
  const { status, headers } = await answer;
  return [
    status,
    headers.get('Edgewise-Tier') ?? headers.get('Edgewise-Error'),
    headers.get('Edgewise-Reason'),
  ];
}
const infer = (service: TestService, init: RequestInit = body, model = 'echo') =>
  service.fetch(`/v2/models/${model}/infer`, init);

describe('a request for the origin', () => {
  it('is answered at the origin, in the same form as at the edge', async () => {
    const edge = await edgeWith(originOnly);
    const answer = await infer(edge, { ...body, body: body.body.replace('{', '{"id":"mine",') });
    expect(await outcome(answer.clone())).toEqual([200, 'origin', 'model-policy']);
    expect(await answer.json()).toEqual({
      model_name: 'echo',
      model_version: '1',
      id: 'mine',
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [0.5, -2] }],
    });
    expect(answer.headers.get('Edgewise-Model')).toMatch(/^echo@1; digest=sha256:[0-9a-f]{64}$/);
    expect(answer.headers.get('Server-Timing')).toMatch(
      /^parse;dur=[\d.]+, origin;dur=[\d.]+, encode;dur=[\d.]+$/,
    );
  });

  it('is sent in binary if it came as JSON, and byte for byte if it came in binary', async () => {
    const edge = await edgeWith(originOnly);
    await infer(edge);
    const binary = binaryRequest('x', [1, 2], [0.5, -2]);
    const answer = await infer(edge, binary);
    expect(await readBinary(answer)).toEqual({ y: [0.5, -2] });
    const [fromJson, fromBinary] = wire.asked.filter(({ path }) => path.endsWith('/infer'));
    expect(new Headers(fromJson?.init.headers).get('inference-header-content-length')).not.toBeNull();
    expect(fromBinary?.init.body).toEqual(binary.body);
  });

  it('carries nothing of the caller but the id, the trace and the time', async () => {
    const edge = await edgeWith(originOnly);
    await infer(
      edge,
      withHeaders({
        Authorization: 'Bearer ew_test-caller',
        Cookie: 'session=secret',
        'X-Forwarded-For': '192.0.2.7',
        'X-Request-Id': 'order-7',
        'Edgewise-Timeout-Ms': '5000',
      }),
    );
    const headers = new Headers(wire.asked.at(-1)?.init.headers);
    expect(headers.get('cookie')).toBeNull();
    expect(headers.get('x-forwarded-for')).toBeNull();
    expect(headers.get('x-request-id')).toBe('order-7');
    expect(headers.get('traceparent')).toMatch(/^00-/);
    expect(Number(headers.get('edgewise-timeout-ms'))).toBeLessThanOrEqual(5000);
    expect(Number(headers.get('edgewise-timeout-ms'))).toBeGreaterThan(0);
  });

  it('is refused at the edge if it is wrong, and no endpoint is asked', async () => {
    const edge = await edgeWith(originOnly);
    const wrong = { method: 'POST', body: JSON.stringify({ inputs: [] }) };
    expect(await outcome(infer(edge, wrong))).toEqual([400, 'invalid_request', null]);
    expect(wire.asked).toEqual([]);
  });

  it('is 503 with Retry-After if no endpoint answers, and only the log says which failed how', async () => {
    const edge = await edgeWith(originOnly);
    wire.instead = () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7'));
    const answer = await infer(edge);
    expect(answer.status).toBe(503);
    expect(answer.headers.get('Edgewise-Error')).toBe('origin_unavailable');
    expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThan(0);
    expect(await answer.text()).not.toMatch(/ECONNREFUSED|10\.0\.0\.7|\bone\b/);
    expect(edge.logLines.join('\n')).toMatch(/one.*ECONNREFUSED/);
  });

  it('is answered by the edge if the origin is down and the model fits', async () => {
    const edge = await edgeWith();
    wire.instead = () => Promise.reject(new Error('down'));
    const wish = withHeaders({ 'Edgewise-Tier': 'origin' });
    expect(await outcome(infer(edge, wish))).toEqual([200, 'edge', 'origin-unavailable']);
    for (let failures = 0; failures < 6; failures++) await infer(edge, wish);
    const asked = wire.asked.length;
    expect(await outcome(infer(edge, wish))).toEqual([200, 'edge', 'origin-unavailable']);
    expect(wire.asked.length).toBe(asked);
  });

  it('is not answered by the edge when the origin finds it wrong', async () => {
    const edge = await edgeWith({}, { endpoints: [endpoint({ binary: true })] });
    wire.instead = () =>
      Promise.resolve(
        Response.json(
          { error: 'x is not to my taste' },
          { status: 400, headers: { 'Edgewise-Error': 'invalid_request' } },
        ),
      );
    const answer = await infer(edge, withHeaders({ 'Edgewise-Tier': 'origin' }));
    expect(answer.status).toBe(400);
    expect(await answer.json()).toEqual({ error: 'x is not to my taste' });
  });

  it.each([
    { title: 'too many are', variables: { EDGEWISE_MAX_ORIGIN_IN_FLIGHT: '1' }, values: 2 },
    {
      title: 'what they hold is too much',
      variables: { EDGEWISE_MAX_ORIGIN_HELD_MIB: '1' },
      values: 150_000,
    },
  ])('is refused at once when $title already at the origin', async ({ variables, values }) => {
    const gate = Promise.withResolvers<Response>();
    wire.instead = () => gate.promise;
    const endpoints = [endpoint({ binary: true })];
    const edge = await edgeWith(originOnly, { variables, endpoints });
    const request = binaryRequest('x', [values / 2, 2], Array(values).fill(0.5));
    const first = infer(edge, request);
    await vi.waitFor(() => expect(wire.asked).toHaveLength(1));
    expect(await outcome(infer(edge, request))).toEqual([429, 'overloaded', null]);
    gate.reject(new Error('enough'));
    expect((await first).status).toBe(503);
    wire.instead = undefined;
    expect(await outcome(infer(edge, request))).toEqual([200, 'origin', 'model-policy']);
  });

  it("ends at the caller's deadline", async () => {
    const edge = await edgeWith(originOnly);
    wire.instead = (init) =>
      new Promise((_, reject) => init.signal?.addEventListener('abort', () => reject(init.signal?.reason)));
    expect(await outcome(infer(edge, withHeaders({ 'Edgewise-Timeout-Ms': '30' })))).toEqual([
      504,
      'deadline_exceeded',
      null,
    ]);
    expect(wire.asked.at(-1)?.init.signal?.aborted).toBe(true);
  });

  it('ends when its caller leaves', async () => {
    const edge = await edgeWith(originOnly);
    const caller = new AbortController();
    wire.instead = (init) =>
      new Promise((_, reject) => {
        init.signal?.addEventListener('abort', () => reject(init.signal?.reason));
        if (init.method === 'GET') reject(new Error('no metadata'));
        caller.abort();
      });
    const answer = await infer(edge, { ...body, signal: caller.signal });
    expect(answer.status).toBe(504);
    expect(wire.asked.at(-1)?.init.signal?.aborted).toBe(true);
  });
});

describe('a request for the edge', () => {
  it('is answered by the origin when the model runs out of memory, and so are later requests', async () => {
    const edge = await edgeWith(
      {},
      {
        engine: createFakeEngine({ memoryCapBytes: 1_000_000 }),
        graphBytes: graph({ runBytes: 2_000_000 }),
      },
    );
    expect(await outcome(infer(edge))).toEqual([200, 'origin', 'edge-out-of-memory']);
    expect(edge.logLines.join('\n')).toContain('"event":"fell_back"');
    const logged = edge.logLines.length;
    expect(await outcome(infer(edge))).toEqual([200, 'origin', 'edge-out-of-memory']);
    expect(edge.logLines.length).toBe(logged);
  });

  it('is 503 and names both tiers when the origin fails too', async () => {
    const edge = await edgeWith(
      {},
      {
        engine: createFakeEngine({ memoryCapBytes: 1_000_000 }),
        graphBytes: graph({ runBytes: 2_000_000 }),
      },
    );
    wire.instead = () => Promise.reject(new Error('down'));
    const answer = await infer(edge);
    expect(answer.status).toBe(503);
    expect(answer.headers.get('Retry-After')).not.toBeNull();
    expect(await answer.text()).toMatch(/the edge cannot answer .* and the origin cannot either/);
  });

  it('is answered by the origin when the edge is full', async () => {
    const gate = Promise.withResolvers<void>();
    const running = Promise.withResolvers<void>();
    const onRun = () => {
      running.resolve();
      return gate.promise;
    };
    const edge = await edgeWith(
      {},
      { engine: createFakeEngine({ onRun }), variables: { EDGEWISE_MAX_IN_FLIGHT: '1' } },
    );
    const first = infer(edge);
    await running.promise;
    expect(await outcome(infer(edge))).toEqual([200, 'origin', 'edge-busy']);
    gate.resolve();
    expect(await outcome(first)).toEqual([200, 'edge', 'fits-edge']);
  });

  it('is answered by the origin when the edge cannot load the model', async () => {
    const lacking = () =>
      Promise.reject(new EdgewiseError('invalid_request', 'the engine lacks an operator'));
    const edge = await edgeWith({}, { engine: createFakeEngine({ onCreate: lacking }) });
    expect(await outcome(infer(edge))).toEqual([200, 'origin', 'edge-load-failed']);
  });

  it('is not answered by the origin when the edge holds wrong bytes of the model', async () => {
    const wrong = () => Promise.reject(new EdgewiseError('digest_mismatch', 'wrong bytes'));
    const edge = await edgeWith({}, { engine: createFakeEngine({ onCreate: wrong }) });
    expect(await outcome(infer(edge))).toEqual([500, 'digest_mismatch', null]);
    expect(wire.asked).toEqual([]);
  });

  it('goes to the origin when it is expected to take too long at the edge', async () => {
    const slow = {
      edgeProfile: {
        engine: 'test',
        memoryCapBytes: 96 * 1024 * 1024,
        sessionBytes: 65_536,
        peakBytes: 17_000_000,
        createMs: 1,
        runs: [{ batchSize: 1, inputElements: 2, microseconds: 600_000 }],
      },
    };
    expect(await outcome(infer(await edgeWith(slow)))).toEqual([200, 'edge', 'fits-edge']);
    // The isolate corrects the profile by the runs that it sees, so this one has not seen any.
    const edge = await edgeWith(slow);
    const two = {
      method: 'POST',
      body: JSON.stringify({ inputs: [{ ...spec('x'), shape: [2, 2], data: [1, 2, 3, 4] }] }),
    };
    expect(await outcome(infer(edge, two))).toEqual([200, 'origin', 'exceeds-edge-cpu']);
  });
});

describe('a request that is bound to a jurisdiction', () => {
  const bound = withHeaders({ 'Edgewise-Jurisdiction': 'eu' });

  it('goes only to endpoints of that jurisdiction, and not to an edge without one', async () => {
    const edge = await edgeWith(
      {},
      {
        endpoints: [
          endpoint({ name: 'us', jurisdiction: 'us' }),
          endpoint({ name: 'eu', jurisdiction: 'eu' }),
          endpoint({ name: 'none' }),
        ],
      },
    );
    for (let count = 0; count < 10; count++)
      expect(await outcome(infer(edge, bound))).toEqual([200, 'origin', 'residency']);
    expect(new Set(wire.asked.map((asked) => asked.endpoint))).toEqual(new Set(['eu']));
  });

  it('is refused if no endpoint of the jurisdiction answers, and no byte goes elsewhere', async () => {
    const edge = await edgeWith({}, { endpoints: [endpoint({ name: 'us', jurisdiction: 'us' })] });
    expect(await outcome(infer(edge, bound))).toEqual([451, 'residency_unavailable', null]);
    const down = await edgeWith(
      {},
      {
        endpoints: [
          endpoint({ name: 'us', jurisdiction: 'us' }),
          endpoint({ name: 'eu', jurisdiction: 'eu' }),
        ],
      },
    );
    wire.instead = () => Promise.reject(new Error('down'));
    for (let count = 0; count < 8; count++) {
      expect(await outcome(infer(down, bound))).toEqual([451, 'residency_unavailable', null]);
    }
    expect(new Set(wire.asked.map((asked) => asked.endpoint))).toEqual(new Set(['eu']));
  });

  it('runs at an edge of that jurisdiction, and does not fall back to another one', async () => {
    const edge = await edgeWith(
      {},
      {
        endpoints: [endpoint({ name: 'us', jurisdiction: 'us' })],
        variables: { EDGEWISE_JURISDICTION: 'eu' },
        engine: createFakeEngine({ memoryCapBytes: 1_000_000 }),
        graphBytes: graph({ runBytes: 2_000_000 }),
      },
    );
    expect(await outcome(infer(edge, bound))).toEqual([503, 'no_capacity', null]);
    expect(wire.asked).toEqual([]);
  });

  it('is refused if the jurisdiction cannot be read', async () => {
    const edge = await edgeWith();
    expect(await outcome(infer(edge, withHeaders({ 'Edgewise-Jurisdiction': 'EU!' })))).toEqual([
      400,
      'invalid_request',
      null,
    ]);
  });
});

describe('a body that is too large to be held', () => {
  const variables = {
    EDGEWISE_MAX_REPLAY_MIB: '1',
    EDGEWISE_MAX_BODY_MIB: '2',
    EDGEWISE_MAX_STREAMED_MIB: '3',
  };
  const large = (mebibytes: number) => {
    const rows = (mebibytes * 1024 * 1024) / 8;
    const request = binaryRequest('x', [rows, 2], new Float32Array(rows * 2).fill(0.25));
    return { ...request, headers: { ...request.headers, 'Content-Length': String(request.body.byteLength) } };
  };

  it('is streamed to the origin once, unread', async () => {
    const edge = await edgeWith(originOnly, { variables });
    const request = large(1.5);
    const answer = await infer(edge, request);
    expect(await outcome(answer.clone())).toEqual([200, 'origin', 'model-policy']);
    expect((await readBinary(answer))['y']).toHaveLength((1.5 * 1024 * 1024) / 4);
    expect(wire.asked.at(-1)?.init.body).toBeInstanceOf(ReadableStream);
  });

  it('is read at the edge, up to its limit, if the model fits the edge', async () => {
    const edge = await edgeWith({}, { variables });
    expect(await outcome(infer(edge, large(1.5)))).toEqual([200, 'edge', 'fits-edge']);
    expect(await outcome(infer(edge, large(2.5)))).toEqual([200, 'origin', 'exceeds-edge-memory']);
  });

  it('is refused beyond the limit for streams', async () => {
    const edge = await edgeWith(originOnly, { variables });
    expect(await outcome(infer(edge, large(3.5)))).toEqual([413, 'too_large', null]);
  });

  it("ends at the caller's deadline", async () => {
    const edge = await edgeWith(originOnly, { variables });
    const request = large(1.5);
    wire.instead = (init) =>
      new Promise((_, reject) => init.signal?.addEventListener('abort', () => reject(init.signal?.reason)));
    const late = { ...request, headers: { ...request.headers, 'Edgewise-Timeout-Ms': '30' } };
    expect(await outcome(infer(edge, late))).toEqual([504, 'deadline_exceeded', null]);
  });

  it('is not sent to an endpoint that takes only JSON', async () => {
    const edge = await edgeWith(originOnly, {
      variables,
      endpoints: [
        endpoint({ name: 'json', binary: false, weight: 10 }),
        endpoint({ name: 'binary', binary: true }),
      ],
    });
    expect(await outcome(infer(edge, large(1.5)))).toEqual([200, 'origin', 'model-policy']);
    expect(wire.asked.map((asked) => asked.endpoint)).toEqual(['binary']);
    // What it takes it is still asked for.
    expect(await outcome(infer(edge))).toEqual([200, 'origin', 'model-policy']);
    expect(wire.asked.map((asked) => asked.endpoint)).toEqual(['binary', 'json']);
  });

  it('is not retried', async () => {
    const edge = await edgeWith(originOnly, {
      variables,
      endpoints: [endpoint({ name: 'a', binary: true }), endpoint({ name: 'b', binary: true })],
    });
    wire.instead = () => Promise.reject(new Error('down'));
    expect(await outcome(infer(edge, large(1.5)))).toEqual([503, 'origin_unavailable', null]);
    expect(wire.asked).toHaveLength(1);
  });
});

describe('an origin server', () => {
  it('runs every request and says so', async () => {
    await edgeWith(originOnly);
    expect(await outcome(infer(origin))).toEqual([200, 'origin', 'origin-server']);
  });

  it('lists the schedule policy extension, which an edge does not', async () => {
    const extensionsOf = async (service: TestService) =>
      z.object({ extensions: z.array(z.string()) }).parse(await (await service.fetch('/v2')).json())
        .extensions;
    expect(await extensionsOf(origin)).toContain('schedule_policy');
    expect(await extensionsOf(await edgeWith())).not.toContain('schedule_policy');
  });

  it('gathers requests that arrive during a run into one run, and answers each by itself', async () => {
    const gate = Promise.withResolvers<void>();
    const running = Promise.withResolvers<void>();
    let runs = 0;
    origin = await testService({
      tier: 'origin',
      engine: createFakeEngine({
        onRun: () => {
          runs += 1;
          running.resolve();
          return gate.promise;
        },
      }),
    });
    await edgeWith({ ...originOnly, maxBatchSize: 8, rowWise: true });
    const first = infer(origin);
    await running.promise;
    const others = [1, 2, 3, 4].map((value) => infer(origin, binaryRequest('x', [1, 2], [value, -value])));
    await vi.waitFor(() => expect(origin.services.batcher?.snapshot().models[0]?.queued).toBe(4));
    gate.resolve();
    expect(await outcome(first)).toEqual([200, 'origin', 'origin-server']);
    for (const [index, answer] of others.entries()) {
      expect(await readBinary(await answer)).toEqual({ y: [index + 1, -index - 1] });
    }
    expect(runs).toBe(2);
    const config = await origin.fetch('/v2/models/echo/config');
    expect(await config.json()).toMatchObject({ dynamic_batching: { max_queue_delay_microseconds: 0 } });
  });

  it.each([
    { rowWise: false, lines: 0 },
    { rowWise: undefined, lines: 1 },
  ])('runs each request alone if rowWise is $rowWise, with $lines lines in the log', async (told) => {
    const rows: number[] = [];
    const gate = Promise.withResolvers<void>();
    const running = Promise.withResolvers<void>();
    origin = await testService({
      tier: 'origin',
      engine: createFakeEngine({
        onRun: (feeds) => {
          rows.push(feeds.get('x')?.shape[0] ?? 0);
          running.resolve();
          return gate.promise;
        },
      }),
    });
    await edgeWith({ ...originOnly, maxBatchSize: 8, rowWise: told.rowWise });
    const first = infer(origin);
    await running.promise;
    const others = [1, 2, 3].map((value) => infer(origin, binaryRequest('x', [2, 2], [value, 0, 0, value])));
    await vi.waitFor(() => expect(origin.services.batcher?.snapshot().models[0]?.queued).toBe(3));
    gate.resolve();
    expect((await first).status).toBe(200);
    for (const [index, answer] of others.entries()) {
      const value = index + 1;
      expect(await readBinary(await answer)).toEqual({ y: [value, 0, 0, value] });
    }
    expect(rows).toEqual([1, 2, 2, 2]);
    expect(origin.logLines.filter((line) => line.includes('"event":"not_batched"'))).toHaveLength(told.lines);
    const config = await origin.fetch('/v2/models/echo/config');
    expect(await config.json()).not.toHaveProperty('dynamic_batching');
  });

  it('refuses a request that asks for the edge', async () => {
    await edgeWith({ tier: 'edge' });
    expect(await outcome(infer(origin))).toEqual([400, 'invalid_request', null]);
    expect(await outcome(infer(origin, withHeaders({ 'Edgewise-Tier': 'edge' })))).toEqual([
      400,
      'invalid_request',
      null,
    ]);
  });
});

describe('GET /admin/pool', () => {
  it('shows each endpoint as this isolate knows it, without its address', async () => {
    const edge = await edgeWith(originOnly);
    await infer(edge);
    const answer = await edge.fetch('/admin/pool', { headers: bearer(adminKey) });
    const shown = await answer.text();
    expect(JSON.parse(shown)).toMatchObject({
      endpoints: [
        { name: 'one', state: 'healthy', inFlight: 0, requests: 1, failures: 0, ejections: 0, weight: 1 },
      ],
      budgets: { requests: 1, retries: 0, hedges: 0, windowMs: 10_000 },
    });
    expect(shown).not.toContain('origin.test');
  });

  it('needs the admin key', async () => {
    const edge = await edgeWith();
    expect((await edge.fetch('/admin/pool')).status).toBe(401);
  });

  it('is empty if there is no pool', async () => {
    const edge = await testService({ engine: createFakeEngine() });
    const answer = await edge.fetch('/admin/pool', { headers: bearer(adminKey) });
    expect(await answer.json()).toEqual({
      endpoints: [],
      engine: { isAvailable: true, stops: 0, stopped: [] },
    });
  });
});
