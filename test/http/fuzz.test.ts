/** Malformed requests at every route: each is answered, and none by a failure of ours. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '../../src/http/app.ts';
import { describeApi } from '../../src/http/openapi/document.ts';
import { operationsOf } from '../../src/http/openapi/operations.ts';
import { identityModel } from '../support/onnx-models.ts';
import { adminKey, bearer, publishTiny, type TestService, testService } from '../support/services.ts';

let service: TestService;
async function publishEcho(): Promise<void> {
  await publishTiny(service, new Uint8Array(identityModel('FP32', ['n', 2]).graph), {
    name: 'echo',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
  });
}

beforeAll(async () => {
  service = await testService({ variables: { EDGEWISE_MAX_BODY_MIB: '1' } });
  await publishEcho();
});

const good = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] };
const segment = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('echo', '1', 'stable', 'acme/score', `sha256:${'0'.repeat(64)}`) },
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('..', '../..', '%', '\0', 'a'.repeat(5000), '__proto__', 'constructor', 'ï', '🙂'),
);
const body = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.json().map((text) => new TextEncoder().encode(text)),
  fc
    .tuple(fc.constant(new TextEncoder().encode(JSON.stringify(good))), fc.nat(), fc.nat(255))
    .map(([bytes, at, value]) => bytes.with(at % bytes.length, value)),
  fc.record({ version: fc.anything() }).map((value) => new TextEncoder().encode(JSON.stringify(value) ?? '')),
  fc
    .record({ manifest: fc.object(), aliases: fc.anything(), versionPolicy: fc.anything() })
    .map((value) =>
      new TextEncoder().encode(
        JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? `${item}` : item)),
      ),
    ),
);
const headers = fc.record(
  {
    'Inference-Header-Content-Length': fc.oneof(
      fc.nat(300).map(String),
      fc.constantFrom('-1', '1e3', '', '0x10', '9'.repeat(40)),
    ),
    'Content-Encoding': fc.constantFrom('gzip', 'deflate', 'br', 'identity', 'gzip, gzip'),
    'Content-Type': fc.constantFrom(
      'application/json',
      'application/octet-stream',
      'multipart/form-data; boundary=x',
      'x',
    ),
    'Edgewise-Tier': fc.constantFrom('edge', 'origin', 'moon', ''),
    'X-Request-Id': fc.string({ maxLength: 200 }).filter((value) => /^[\x20-\x7e]*$/.test(value)),
    traceparent: fc.constantFrom('00-0-0-0', '', 'x'.repeat(500)),
    authorization: fc.constantFrom(bearer(adminKey).authorization, 'Bearer', 'Bearer wrong', 'Digest x'),
  },
  { requiredKeys: [] },
);

const { services } = await testService();
const operations = operationsOf(describeApi(createApp(services), services.settings));

/** Admin routes are fuzzed with the right key half of the time; without it they are refused at once. */
describe('every route', () => {
  it.each(
    operations.map(
      (operation) => [`${operation.method.toUpperCase()} ${operation.path}`, operation] as const,
    ),
  )('%s answers whatever it is sent, without failing', async (_, { method, path, needsAdminKey }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(segment, { minLength: 3, maxLength: 3 }),
        body,
        headers,
        fc.boolean(),
        async (segments, bytes, extra, known) => {
          let next = 0;
          const filled = path.replace(/\{\w+\}/g, () => encodeURIComponent(segments[next++] ?? ''));
          const sends = method === 'post' || method === 'put';
          const answer = await service.fetch(filled, {
            method: method.toUpperCase(),
            ...(sends ? { body: bytes } : {}),
            headers: { ...extra, ...(needsAdminKey && known ? bearer(adminKey) : {}) },
          });
          const text = await answer.text();
          expect(answer.status, `${filled}: ${text}`).not.toBe(500);
          if (answer.status >= 400 && method !== 'head') {
            const code = answer.headers.get('Edgewise-Error');
            // Not-ready bodies are the protocol's own and carry no error.
            if (code !== null && !path.endsWith('/ready')) {
              expect(JSON.parse(text)).toEqual({ error: expect.any(String) });
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('still answers afterwards', async () => {
    // Requests with the admin key may have removed or unloaded it.
    await publishEcho();
    await service.fetch('/v2/repository/models/echo/load', { method: 'POST', headers: bearer(adminKey) });
    const answer = await service.fetch('/v2/models/echo/infer', {
      method: 'POST',
      body: JSON.stringify(good),
    });
    expect(answer.status).toBe(200);
  });
});
