import { beforeAll, describe, expect, it } from 'vitest';
import { identityModel } from '../support/onnx-models.ts';
import {
  adminKey,
  bearer,
  callerKey,
  publishTiny,
  type TestService,
  testService,
} from '../support/services.ts';

const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] }] });
const infer = (headers: Record<string, string> = {}) => ({ method: 'POST', body, headers });

async function withModels(variables: Record<string, string>): Promise<TestService> {
  const service = await testService({ variables });
  for (const name of ['open', 'acme/free', 'closed']) {
    await publishTiny(service, new Uint8Array(identityModel('FP32', ['n']).graph), {
      name,
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
    });
  }
  return service;
}

describe('callers', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await withModels({ EDGEWISE_OPEN_MODELS: 'open, acme/*' });
  });

  it('without a key may use open models', async () => {
    expect((await service.fetch('/v2/models/open/infer', infer())).status).toBe(200);
    expect((await service.fetch('/v2/models/acme%2Ffree/infer', infer())).status).toBe(200);
  });

  it('without a key are refused other models, whether or not they exist', async () => {
    for (const path of ['/v2/models/closed/infer', '/v2/models/nothing/infer']) {
      const answer = await service.fetch(path, infer());
      expect(answer.status).toBe(401);
      expect(answer.headers.get('Edgewise-Error')).toBe('unauthenticated');
      expect(answer.headers.get('WWW-Authenticate')).toBe('Bearer');
    }
    expect((await service.fetch('/v2/models/closed')).status).toBe(401);
    expect((await service.fetch('/v2/models/closed/ready')).status).toBe(401);
  });

  it('without a key see only open models', async () => {
    const names = await (await service.fetch('/v2/models')).json();
    expect(names).toEqual({ models: ['acme/free', 'open'] });
    const index = await (await service.fetch('/v2/repository/index', { method: 'POST' })).json();
    expect(index).toHaveLength(2);
    const page = (query: string) => service.fetch(`/v2/repository/index${query}`, { method: 'POST' });
    const first = await page('?limit=1');
    expect(await first.json()).toMatchObject([{ name: 'acme/free' }]);
    expect(first.headers.get('Link')).toBe('</v2/repository/index?after=acme%2Ffree&limit=1>; rel="next"');
    const second = await page('?after=acme%2Ffree&limit=1');
    expect(await second.json()).toMatchObject([{ name: 'open' }]);
    expect(second.headers.get('Link')).toBeNull();
    for (const limit of ['0', '-1', '1001', 'x', '']) {
      expect((await page(`?limit=${limit}`)).status).toBe(400);
    }
  });

  it('with a key reach every route but the admin routes', async () => {
    expect((await service.fetch('/v2/models/closed/infer', infer(bearer(callerKey)))).status).toBe(200);
    const refused = await service.fetch('/admin/models', { headers: bearer(callerKey) });
    expect([refused.status, refused.headers.get('Edgewise-Error')]).toEqual([403, 'forbidden']);
  });

  it('with an unknown key are refused even open models', async () => {
    for (const authorization of ['Bearer wrong', 'Basic dTpw', 'Bearer', `Bearer ${'x'.repeat(2000)}`]) {
      expect((await service.fetch('/v2/models/open/infer', infer({ authorization }))).status).toBe(401);
    }
  });
});

describe('admin routes', () => {
  it('need the admin key', async () => {
    const service = await testService();
    expect((await service.fetch('/admin/models')).status).toBe(401);
    expect((await service.fetch('/admin/models', { headers: bearer(adminKey) })).status).toBe(200);
    const load = { method: 'POST' };
    expect((await service.fetch('/v2/repository/models/x/load', load)).status).toBe(401);
    expect((await service.fetch('/v2/repository/models/x/unload', load)).status).toBe(401);
  });

  it('are off if no admin key is configured', async () => {
    const service = await testService();
    const settings = { ...service.services.settings, adminKeyHash: undefined };
    const { createApp } = await import('../../src/http/app.ts');
    const app = createApp({ ...service.services, settings });
    for (const headers of [{}, bearer(callerKey)]) {
      const answer = await app.request('/admin/models', { headers });
      expect([answer.status, await answer.json()]).toEqual([
        403,
        { error: 'admin routes are off: no admin key is configured on this server' },
      ]);
    }
  });
});

describe('CORS', () => {
  it('is closed unless origins are configured', async () => {
    const closed = await testService();
    const headers = { origin: 'https://app.example' };
    expect((await closed.fetch('/v2', { headers })).headers.get('access-control-allow-origin')).toBeNull();
    const open = await testService({ variables: { EDGEWISE_CORS_ORIGINS: 'https://app.example' } });
    expect((await open.fetch('/v2', { headers })).headers.get('access-control-allow-origin')).toBe(
      'https://app.example',
    );
    const other = await open.fetch('/v2', { headers: { origin: 'https://evil.example' } });
    expect(other.headers.get('access-control-allow-origin')).toBeNull();
    const preflight = await open.fetch('/v2/models/x/infer', {
      method: 'OPTIONS',
      headers: { ...headers, 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(204);
  });
});
