import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ManualClock } from '../support/clock.ts';
import { identityModel } from '../support/onnx-models.ts';
import { adminKey, bearer, publishTiny, type TestService, testService } from '../support/services.ts';
import { termsOf } from '../support/terms.ts';

const graph = new Uint8Array(identityModel('FP32', ['n', 2]).graph);
const signature = {
  inputs: [{ name: 'x', datatype: 'FP32' as const, shape: [-1, 2] }],
  outputs: [{ name: 'y', datatype: 'FP32' as const, shape: [-1, 2] }],
};
const request = (extra: object = {}) => ({
  method: 'POST',
  body: JSON.stringify({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [0.5, -2] }],
    ...extra,
  }),
});

let service: TestService;
beforeAll(async () => {
  service = await testService();
  await publishTiny(service, graph, { name: 'echo', ...signature, maxBatchSize: 8 });
});

const inferAnswer = z.object({ model_version: z.string() });
const count = z.object({ count: z.number() });
const statisticsAnswer = z.object({
  model_stats: z.tuple([
    z.object({ name: z.string(), inference_stats: z.object({ success: count, fail: count }) }),
  ]),
});

async function statistics() {
  const answer = await service.fetch('/v2/models/echo/stats');
  return statisticsAnswer.parse(await answer.json()).model_stats[0];
}

async function refusal(answer: Response | Promise<Response>) {
  const { status, headers } = await answer;
  return [status, headers.get('Edgewise-Error')];
}

describe('POST /v2/models/{name}/infer', () => {
  it('answers, and says where and how', async () => {
    const answer = await service.fetch('/v2/models/echo/infer', request({ id: 'mine' }));
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({
      model_name: 'echo',
      model_version: '1',
      id: 'mine',
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [0.5, -2] }],
    });
    expect(answer.headers.get('Edgewise-Tier')).toBe('edge');
    expect(answer.headers.get('Edgewise-Reason')).toBe('fits-edge');
    expect(answer.headers.get('Edgewise-Model')).toMatch(/^echo@1; digest=sha256:[0-9a-f]{64}$/);
    expect(answer.headers.get('Server-Timing')).toMatch(
      /^parse;dur=[\d.]+, load;dur=[\d.]+, queue;dur=[\d.]+, run;dur=[\d.]+, encode;dur=[\d.]+$/,
    );
  });

  it('returns the request id and continues the trace', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const answer = await service.fetch('/v2/models/echo/infer', {
      ...request(),
      headers: { 'X-Request-Id': 'order-7', traceparent: `00-${traceId}-b7ad6b7169203331-01` },
    });
    expect(answer.headers.get('X-Request-Id')).toBe('order-7');
    expect(answer.headers.get('traceparent')).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
    const odd = await service.fetch('/v2', { headers: { 'X-Request-Id': 'a b"c' } });
    expect(odd.headers.get('X-Request-Id')).toMatch(/^[0-9a-f]{32}$/);
  });

  it('runs in the tier that the caller asks for, or says why it cannot', async () => {
    const wish = (tier: string) =>
      service.fetch('/v2/models/echo/infer', { ...request(), headers: { 'Edgewise-Tier': tier } });
    expect((await wish('edge')).headers.get('Edgewise-Reason')).toBe('caller-wish');
    expect(await refusal(wish('origin'))).toEqual([503, 'origin_unavailable']);
    expect(await refusal(wish('moon'))).toEqual([400, 'invalid_request']);
  });

  it('refuses a model for the origin with a Retry-After', async () => {
    await publishTiny(service, graph, {
      name: 'large',
      ...signature,
      tier: 'origin',
      edgeProfile: undefined,
    });
    const answer = await service.fetch('/v2/models/large/infer', request());
    expect(await refusal(answer)).toEqual([503, 'origin_unavailable']);
    expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThan(0);
    expect((await service.fetch('/v2/models/large/ready')).status).toBe(503);
  });

  it.each([
    ['an unknown model', '/v2/models/nothing/infer', request(), 404, 'model_not_found'],
    ['an unknown version', '/v2/models/echo/versions/9/infer', request(), 404, 'version_not_found'],
    ['an unusable name', '/v2/models/%2E%2E%2Fsecret/infer', request(), 404, 'model_not_found'],
    ['another method', '/v2/models/echo/infer', { method: 'GET' }, 405, 'method_not_allowed'],
    [
      'a body that is no JSON',
      '/v2/models/echo/infer',
      { method: 'POST', body: '{' },
      400,
      'invalid_request',
    ],
    [
      'an output that is not there',
      '/v2/models/echo/infer',
      request({ outputs: [{ name: 'z' }] }),
      400,
      'invalid_request',
    ],
    [
      'a timeout that is no number',
      '/v2/models/echo/infer',
      request({ parameters: { timeout: 'soon' } }),
      400,
      'invalid_request',
    ],
  ])('refuses %s', async (_, path, init, status, code) => {
    expect(await refusal(service.fetch(path, init))).toEqual([status, code]);
  });

  it('refuses a batch over the largest', async () => {
    const body = JSON.stringify({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [9, 2], data: new Array(18).fill(0) }],
    });
    expect(await refusal(service.fetch('/v2/models/echo/infer', { method: 'POST', body }))).toEqual([
      400,
      'invalid_request',
    ]);
  });

  it('refuses a body over the limit before reading it', async () => {
    const small = await testService({ variables: { EDGEWISE_MAX_BODY_MIB: '1' } });
    await publishTiny(small, graph, { name: 'echo', ...signature });
    const body = new Uint8Array(1024 * 1024 + 1);
    const headers = { 'content-length': String(body.byteLength) };
    expect(await refusal(small.fetch('/v2/models/echo/infer', { method: 'POST', body, headers }))).toEqual([
      413,
      'too_large',
    ]);
  });

  it('serves versions by number and by alias, and stable by default', async () => {
    const name = 'acme/two';
    await publishTiny(service, graph, { name, ...signature, version: '1' }, ['stable']);
    await publishTiny(service, graph, { name, ...signature, version: '2' }, ['canary']);
    const answered = async (path: string) => {
      const answer = await service.fetch(`/v2/models/acme%2Ftwo${path}/infer`, request());
      return answer.ok
        ? inferAnswer.parse(await answer.json()).model_version
        : answer.headers.get('Edgewise-Error');
    };
    expect(await answered('')).toBe('1');
    expect(await answered('/versions/2')).toBe('2');
    expect(await answered('/versions/stable')).toBe('1');
    expect(await answered('/versions/canary')).toBe('2');
    expect(await answered('/versions/beta')).toBe('version_not_found');
    const moved = await service.fetch('/admin/models/acme%2Ftwo/aliases/stable', {
      method: 'PUT',
      body: JSON.stringify({ version: '2' }),
      headers: bearer(adminKey),
    });
    expect(moved.status).toBe(200);
    expect(await answered('')).toBe('2');
  });

  it('counts requests in the statistics', async () => {
    const before = await statistics();
    await service.fetch('/v2/models/echo/infer', request());
    await service.fetch('/v2/models/echo/infer', { method: 'POST', body: '{' });
    const after = await statistics();
    expect(after.inference_stats.success.count - before.inference_stats.success.count).toBe(1);
    expect(after.inference_stats.fail.count - before.inference_stats.fail.count).toBe(1);
    expect(after.name).toBe('echo');
  });
});

describe('GET /v2', () => {
  it('describes the server, with and without a trailing slash', async () => {
    for (const path of ['/v2', '/v2/']) {
      const answer = await service.fetch(path);
      expect(answer.status).toBe(200);
      expect(await answer.json()).toMatchObject({
        name: 'edgewise',
        extensions: expect.arrayContaining(['binary_tensor_data']),
      });
    }
  });
});

describe('statistics', () => {
  it('exclude the time that the caller took to send the body', async () => {
    const clock = new ManualClock();
    const timed = await testService({ clock });
    await publishTiny(timed, graph, { name: 'echo', ...signature });
    const text = new TextEncoder().encode(request().body);
    const body = new ReadableStream(
      {
        pull(controller) {
          clock.advance(5000);
          controller.enqueue(text);
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    const answer = await timed.fetch('/v2/models/echo/infer', { method: 'POST', body, duplex: 'half' });
    expect(answer.status).toBe(200);
    const { model_stats } = z
      .object({
        model_stats: z.tuple([
          z.object({ inference_stats: z.object({ compute_input: z.object({ ns: z.number() }) }) }),
        ]),
      })
      .parse(await (await timed.fetch('/v2/models/echo/stats')).json());
    expect(model_stats[0].inference_stats.compute_input.ns).toBe(0);
    expect(answer.headers.get('Server-Timing')).toContain('parse;dur=0,');
  });

  it('of all models include models without a request', async () => {
    await publishTiny(service, graph, { name: 'unasked', ...signature });
    const body = await (await service.fetch('/v2/models/stats')).json();
    expect(body).toMatchObject({
      model_stats: expect.arrayContaining([
        expect.objectContaining({ name: 'unasked', version: '1', inference_count: 0, last_inference: 0 }),
      ]),
    });
  });
});

describe('load and unload', () => {
  const control = (name: string, verb: string) =>
    service.fetch(`/v2/repository/models/${name}/${verb}`, { method: 'POST', headers: bearer(adminKey) });

  it('take a model out of service and bring it back', async () => {
    await publishTiny(service, graph, { name: 'switched', ...signature });
    expect((await control('switched', 'unload')).status).toBe(200);
    expect(await refusal(service.fetch('/v2/models/switched/infer', request()))).toEqual([
      503,
      'model_not_ready',
    ]);
    expect((await service.fetch('/v2/models/switched/ready')).status).toBe(503);
    const index = await (await service.fetch('/v2/repository/index', { method: 'POST' })).json();
    expect(index).toContainEqual({
      name: 'switched',
      version: '1',
      state: 'UNAVAILABLE',
      reason: 'unloaded',
    });
    expect((await control('switched', 'load')).status).toBe(200);
    expect((await service.fetch('/v2/models/switched/ready')).status).toBe(200);
    expect((await service.fetch('/v2/models/switched/infer', request())).status).toBe(200);
  });

  it('keep the terms, the files and the statistics of an unloaded model visible', async () => {
    const terms = termsOf({ weightsMayLeave: true });
    await publishTiny(service, graph, { name: 'put-away', ...signature, terms });
    expect((await service.fetch('/v2/models/put-away/infer', request())).status).toBe(200);
    expect((await control('put-away', 'unload')).status).toBe(200);
    const described = await service.fetch('/v1/models/put-away/terms');
    expect(await described.json()).toMatchObject({ model: 'put-away' });
    const file = await service.fetch('/v1/models/put-away/versions/1/files/model.onnx');
    expect(file.status).toBe(200);
    const stats = await (await service.fetch('/v2/models/put-away/stats')).json();
    expect(stats).toMatchObject({ model_stats: [{ name: 'put-away', inference_count: 1 }] });
    expect((await service.fetch('/v2/models/put-away')).status).toBe(503);
  });

  it('refuse an unknown model', async () => {
    expect(await refusal(control('nothing', 'load'))).toEqual([404, 'model_not_found']);
  });
});

describe('logs', () => {
  it('contain nothing of requests or answers', async () => {
    const marker = '8675309.25';
    const body = JSON.stringify({
      id: `id-${marker}`,
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [8675309.25, 1] }],
    });
    await service.fetch('/v2/models/echo/infer', { method: 'POST', body });
    await service.fetch('/v2/models/echo/infer', { method: 'POST', body: `{"${marker}` });
    await service.fetch(`/v2/models/${marker}/infer`, { method: 'POST', body });
    expect(service.logLines.length).toBeGreaterThan(0);
    expect(service.logLines.join('\n')).not.toContain(marker);
  });
});
