/** Pages of another origin: what their browser asks before, and which headers of the answers they may read. */
import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '../../src/http/app.ts';
import { identityModel } from '../support/onnx-models.ts';
import { adminKey, bearer, publishTiny, type TestService, testService } from '../support/services.ts';

const page = 'https://app.example';
const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1] });

let service: TestService;
beforeAll(async () => {
  service = await testService({ variables: { EDGEWISE_CORS_ORIGINS: page } });
  await publishTiny(service, new Uint8Array(identityModel('FP32', ['n']).graph), {
    name: 'echo',
    inputs: [spec('x')],
    outputs: [spec('y')],
  });
});

/** What a caller may send beside what browsers let any page send. */
const sent = [
  'accept-signature',
  'authorization',
  'content-digest',
  'content-type',
  'edgewise-jurisdiction',
  'edgewise-purpose',
  'edgewise-tier',
  'edgewise-timeout-ms',
  'inference-header-content-length',
  'prefer',
  'traceparent',
  'x-request-id',
  'x-session-id',
];

function preflight(path: string, method: string, origin = page): Promise<Response> {
  return service.fetch(path, {
    method: 'OPTIONS',
    headers: {
      Origin: origin,
      'Access-Control-Request-Method': method,
      'Access-Control-Request-Headers': sent.join(','),
    },
  });
}

const listOf = (header: string | null): string[] => (header ?? '').split(',').map((item) => item.trim());

describe('a preflight', () => {
  it('permits the method and every Edgewise header on each route', async () => {
    const routes = new Map<string, string>();
    for (const { method, path } of createApp(service.services).routes) {
      if (method !== 'ALL') routes.set(`${method} ${path.replace(/:(\w+)(\{[^}]*\})?/g, '$1')}`, method);
    }
    expect(routes.size).toBeGreaterThan(50);
    for (const [route, method] of routes) {
      const answer = await preflight(route.slice(method.length + 1), method);
      expect([route, answer.status]).toEqual([route, 204]);
      expect(answer.headers.get('Access-Control-Allow-Origin')).toBe(page);
      expect(listOf(answer.headers.get('Access-Control-Allow-Methods'))).toContain(method);
      expect(listOf(answer.headers.get('Access-Control-Allow-Headers'))).toEqual(sent);
    }
  });

  it('permits the paths of models of an organisation, and needs no key', async () => {
    expect((await preflight('/v2/models/acme/score/infer', 'POST')).status).toBe(204);
    expect((await preflight('/admin/tenants', 'POST')).status).toBe(204);
  });

  it('permits nothing to a page of an unlisted origin', async () => {
    const answer = await preflight('/v2/models/echo/infer', 'POST', 'https://other.example');
    expect(answer.headers.get('Access-Control-Allow-Origin')).toBeNull();
  });
});

describe('an answer to a page', () => {
  /** A page reads these of any answer. */
  const safelisted = [
    'cache-control',
    'content-language',
    'content-length',
    'content-type',
    'expires',
    'last-modified',
    'pragma',
  ];
  /** Of the exchange between browser and server, and none of the page's. */
  const ofTheBrowser =
    /^(?:access-control-|vary$|content-encoding$|content-security-policy$|x-content-type-options$)/;

  function hiddenHeaders({ headers }: Response): string[] {
    const exposed = new Set(
      listOf(headers.get('Access-Control-Expose-Headers')).map((name) => name.toLowerCase()),
    );
    return [...headers.keys()].filter(
      (name) => !exposed.has(name) && !safelisted.includes(name) && !ofTheBrowser.test(name),
    );
  }

  it.each<[string, string, RequestInit, number]>([
    [
      'an inference',
      '/v2/models/echo/infer',
      {
        method: 'POST',
        body: JSON.stringify({
          inputs: [{ ...spec('x'), shape: [1], data: [1] }],
          parameters: { binary_data_output: true },
        }),
        headers: { 'Accept-Signature': 'sig1=("@status")' },
      },
      200,
    ],
    ['a refusal', '/v2/models/echo/infer', { method: 'POST', body: '{' }, 400],
    ['a model that is not there', '/v2/models/none', {}, 404],
    ['a raw organisation that is not there', '/v2/models/acme/none', {}, 404],
    ['a route that wants a key', '/admin/models', {}, 401],
    ['another method', '/v2/models/echo', { method: 'PUT' }, 405],
    [
      'an encoding that is not read',
      '/v2/models/echo/infer',
      { method: 'POST', body: 'x', headers: { 'Content-Encoding': 'br' } },
      415,
    ],
    ['the terms of a model', '/v1/models/echo/terms', {}, 200],
    ['the list of models', '/admin/models', { headers: bearer(adminKey) }, 200],
  ])('exposes all its headers: %s', async (_, path, init, status) => {
    const headers = { ...init.headers, Origin: page } as Record<string, string>;
    const answer = await service.fetch(path, { ...init, headers });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('Access-Control-Allow-Origin')).toBe(page);
    expect(hiddenHeaders(answer)).toEqual([]);
  });
});
