/** The logger never writes content of a request, whatever is wrong with the request and whichever error quotes it. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { toRunError } from '../../src/engine/ort-errors.ts';
import { EdgewiseError } from '../../src/errors.ts';
import type { Endpoint } from '../../src/routing/types.ts';
import { endpointAt } from '../routing/servers.ts';
import { hexOf, type Sent, textInferences } from '../service/kept-requests.ts';
import { newMarker, search } from '../service/kept-search.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { adminKey, bearer, publishTiny, type TestService, testService } from '../support/services.ts';

const marker = newMarker('logged');
const { text } = marker;
const spec = (name: string) => ({ name, datatype: 'BYTES' as const, shape: [-1] });
const signature = { inputs: [spec('x')], outputs: [spec('y')] };

/** What the engine, or an origin, does next: all of them quote what they were given. */
let engineFails: ((quoted: string) => unknown) | undefined;
let originAnswers: ((quoted: string) => Response | Promise<Response>) | undefined;

const ortText = (quoted: string) =>
  `Non-zero status code returned while running Gather node. Name:'pick' Status Message: indices element out of data bounds, idx=${quoted}`;
const engineFailures: readonly ((quoted: string) => unknown)[] = [
  (quoted) => toRunError({ code: 2, text: ortText(quoted) }),
  (quoted) => toRunError({ code: 3, text: ortText(quoted) }),
  (quoted) => toRunError({ code: 11, text: `bad_alloc while computing ${quoted}` }),
  (quoted) => toRunError({ text: `CUDA failure 700: an illegal access ; expr=${quoted}` }),
];
const json = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  Response.json(body, { status, headers });
const originAnswersToTry: readonly ((quoted: string) => Response | Promise<Response>)[] = [
  ...[400, 401, 404, 413, 418, 422, 429, 500, 501, 503].flatMap((status) => [
    (quoted: string) => json({ error: `failed on ${quoted}` }, status),
    (quoted: string) => json({ detail: [{ loc: ['body', quoted], msg: quoted }] }, status),
    (quoted: string) => new Response(quoted, { status, headers: { 'X-Reason': quoted } }),
  ]),
  (quoted) => json({ error: `failed on ${quoted}` }, 500, { 'Edgewise-Error': 'internal' }),
  (quoted) =>
    json({ error: `failed on ${quoted}` }, 503, { 'Edgewise-Error': quoted, 'Retry-After': quoted }),
  (quoted) => json({ outputs: [{ name: quoted, datatype: 'BYTES', shape: [1], data: [quoted] }] }),
  (quoted) => json({ outputs: [{ name: 'y', datatype: quoted, shape: [1], data: [quoted] }] }),
  (quoted) => json({ outputs: [{ name: 'y', datatype: 'BYTES', shape: [quoted], data: [quoted] }] }),
  (quoted) => json({ outputs: [{ name: 'y', datatype: 'INT8', shape: [1], data: [quoted] }] }),
  (quoted) => new Response(`{"outputs": ${quoted}`),
  (quoted) => new Response(`{"${quoted}": 1}`, { headers: { 'Inference-Header-Content-Length': '4' } }),
  () => new Response(null, { status: 307, headers: { Location: `http://${text}.example` } }),
  () => Promise.reject(new Error('connection reset')),
];

interface World {
  readonly edge: TestService;
  /** What stands in both logs. */
  log(): string;
}

/** Anew for each case: endpoints that fail are not asked for a while. */
async function world(): Promise<World> {
  const engine = () =>
    createFakeEngine({
      onRun: async () => {
        if (engineFails !== undefined) throw engineFails(`${text} ${marker.whole[0]}`);
      },
    });
  const variables = { EDGEWISE_LOG: 'all' };
  const origin = await testService({ tier: 'origin', engine: engine(), variables });
  const endpoint: Endpoint = {
    ...endpointAt('http://origin.test', { name: 'origin', binary: true }),
    fetch: async (url, init) =>
      originAnswers?.(`${text} ${marker.whole[0]}`) ?? origin.fetch(new URL(url).pathname, init),
  };
  const edge = await testService({ engine: engine(), endpoints: [endpoint], variables });
  for (const service of [edge, origin]) {
    const graph = fakeGraph({ op: 'identity', ...signature });
    for (const name of ['near', 'both'])
      await publishTiny(service, graph, { name, ...signature }, ['stable']);
    await publishTiny(service, graph, { name: 'far', ...signature, tier: 'origin' }, ['stable']);
  }
  await publishTiny(edge, fakeGraph({ op: 'identity', ...signature }), {
    name: 'both',
    ...signature,
    version: '2',
    tier: 'origin',
  });
  await edge.services.publisher.setShadow('both', 'stable', { version: '2', percent: 100 });
  edge.services.repository.invalidate('both');
  return { edge, log: () => [...edge.logLines, ...origin.logLines].join('\n') };
}

async function send({ edge }: World, { method, path, headers, body }: Sent): Promise<number> {
  const answer = await edge.fetch(path, {
    method: method.toUpperCase(),
    ...(headers && { headers }),
    ...(body === undefined ? {} : { body }),
  });
  await answer.arrayBuffer();
  return answer.status;
}

/** A good inference at each model, and the copy that one of them makes. */
async function inferEach(here: World): Promise<void> {
  const figures = () => here.edge.services.shadows?.figures.ofModel('both')[0];
  for (const name of models) await send(here, textInferences(name, marker)[0] ?? expect.fail());
  await vi.waitFor(() => {
    const { sent = 0, skipped = 0, failed = 0, compared = 0, unlike = 0 } = figures() ?? {};
    expect(failed + compared + unlike + skipped).toBeGreaterThanOrEqual(sent);
  });
}

function expectNothing(log: string): void {
  expect(search([{ name: 'log', bytes: Buffer.from(log) }], marker)).toEqual([]);
}

const models = ['near', 'both', 'far'];

describe('the log', () => {
  it('contains nothing of a refused request', async () => {
    const here = await world();
    const statuses = new Set<number>();
    for (const name of models) {
      for (const sent of textInferences(name, marker)) statuses.add(await send(here, sent));
    }
    for (const status of [200, 400, 415]) expect(statuses).toContain(status);
    expect(here.log().split('\n').length).toBeGreaterThan(10);
    expectNothing(here.log());
  });

  it.each(engineFailures.map((fails, at) => [at, fails] as const))(
    'says nothing of what the engine quotes (%i)',
    async (_, fails) => {
      const here = await world();
      engineFails = fails;
      try {
        await inferEach(here);
      } finally {
        engineFails = undefined;
      }
      expect(here.log()).toContain('"event":"request_failed"');
      expectNothing(here.log());
    },
  );

  it.each(originAnswersToTry.map((answers, at) => [at, answers] as const))(
    'says nothing of what an origin quotes (%i)',
    async (_, answers) => {
      const here = await world();
      originAnswers = answers;
      try {
        await inferEach(here);
      } finally {
        originAnswers = undefined;
      }
      for (const event of ['request_failed', 'shadow_failed'])
        expect(here.log()).toContain(`"event":"${event}"`);
      expectNothing(here.log());
    },
  );

  it('contains nothing of nearly valid bodies, on any route', async () => {
    const here = await world();
    const good = Buffer.from(String(textInferences('near', marker)[0]?.body));
    const damage = fc.record({
      model: fc.constantFrom(...models),
      at: fc.nat({ max: good.byteLength - 1 }),
      byte: fc.nat({ max: 255 }),
      cut: fc.boolean(),
      admin: fc.constantFrom(undefined, '/admin/tenants', '/admin/models/near/stop', '/v1/acceptances'),
    });
    await fc.assert(
      fc.asyncProperty(damage, async ({ model, at, byte, cut, admin }) => {
        const body = Uint8Array.from(cut ? good.subarray(0, at) : good);
        if (!cut) body[at] = byte;
        const headers = admin === undefined ? {} : bearer(adminKey);
        await send(here, { method: 'post', path: admin ?? `/v2/models/${model}/infer`, headers, body });
      }),
      { numRuns: 300 },
    );
    expectNothing(here.log());
  });

  it("contains the caller's request id and a marker in a cause, so the check can fail", async () => {
    const here = await world();
    here.edge.services.logger.write({
      level: 'error',
      event: 'test',
      requestId: text,
      cause: new EdgewiseError('internal', 'x', { cause: new Error(hexOf(text)) }),
    });
    const hits = search([{ name: 'control', bytes: Buffer.from(here.log()) }], marker);
    expect(hits.map(({ form }) => form)).toEqual(['text', 'hex']);
  });
});
