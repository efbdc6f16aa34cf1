import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '../../src/http/app.ts';
import { Shadows } from '../../src/http/infer/shadow.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import { ShadowFigures } from '../../src/telemetry/shadow-figures.ts';
import { identityModel } from '../support/onnx-models.ts';
import { adminKey, bearer, publishTiny, type TestService, testService } from '../support/services.ts';

const x: Manifest['inputs'][number] = { name: 'x', datatype: 'FP32', shape: [-1] };

let service: TestService;
beforeAll(async () => {
  service = await testService();
});

function admin(method: string, path: string, document?: unknown): Promise<Response> {
  const body = document === undefined ? null : JSON.stringify(document);
  return service.fetch(`/admin/models/${path}`, { method, body, headers: bearer(adminKey) });
}

function publish(name: string) {
  const graph = new Uint8Array(identityModel('FP32', ['n']).graph);
  return publishTiny(service, graph, { name, inputs: [x], outputs: [{ ...x, name: 'y' }] }, ['canary']);
}

describe('DELETE /admin/models/{name}/versions/{version}', () => {
  it('refuses an alias instead of removing nothing, and takes the number', async () => {
    await publish('going');
    const refused = await admin('DELETE', 'going/versions/canary');
    expect([refused.status, refused.headers.get('Edgewise-Error')]).toEqual([400, 'invalid_request']);
    expect((await admin('GET', 'going')).status).toBe(200);
    expect((await admin('DELETE', 'going/versions/1')).status).toBe(200);
    expect((await admin('GET', 'going')).status).toBe(404);
  });
});

describe('PUT /admin/models/{name}/versions/{version}', () => {
  it('refuses a manifest that gives two tensors one name', async () => {
    const manifest = await publish('twins');
    const twice = { ...manifest, version: '2', inputs: [x, x] };
    const refused = await admin('PUT', 'twins/versions/2', { manifest: twice });
    expect([refused.status, refused.headers.get('Edgewise-Error')]).toEqual([400, 'invalid_request']);
    expect(await refused.json()).toEqual({ error: expect.stringContaining('manifest.inputs') });
  });
});

describe('the split and the shadow of an alias', () => {
  const halves = {
    arms: [
      { version: '1', percent: 50 },
      { version: '1', tier: 'origin', percent: 50 },
    ],
  };

  it('are set, shown with the index, and removed, which may be done again', async () => {
    await publish('divided');
    const shadow = { version: '1', tier: 'origin', percent: 2.5 };
    expect((await admin('PUT', 'divided/aliases/canary/split', halves)).status).toBe(200);
    expect((await admin('PUT', 'divided/aliases/canary/shadow', shadow)).status).toBe(200);
    expect(await (await admin('GET', 'divided')).json()).toMatchObject({
      index: { splits: { canary: halves }, shadows: { canary: shadow } },
    });
    for (const what of ['split', 'shadow', 'split', 'shadow']) {
      expect((await admin('DELETE', `divided/aliases/canary/${what}`)).status).toBe(200);
    }
    const after = await (await admin('GET', 'divided')).json();
    expect(after).not.toHaveProperty('index.splits');
    expect(after).not.toHaveProperty('index.shadows');
  });

  it.each<[string, string, unknown, number, string]>([
    ['what adds up to less', 'canary/split', { arms: halves.arms.slice(1) }, 400, 'arms'],
    ['a tier that there is not', 'canary/shadow', { version: '1', tier: 'moon', percent: 5 }, 400, 'tier'],
    ['more than all', 'canary/shadow', { version: '1', percent: 101 }, 400, 'percent'],
    ['a name that is no alias', '1/split', halves, 400, 'alias'],
    ['an alias that is not there', 'nothing/split', halves, 404, 'nothing'],
    ['a version that is not there', 'canary/shadow', { version: '9', percent: 5 }, 404, '9'],
  ])('refuse %s', async (_, path, document, status, told) => {
    await publish('refusing');
    const refused = await admin('PUT', `refusing/aliases/${path}`, document);
    expect(refused.status).toBe(status);
    expect(await refused.json()).toEqual({ error: expect.stringContaining(told) });
  });

  it('want the admin key', async () => {
    const body = JSON.stringify(halves);
    for (const path of ['m/aliases/canary/split', 'm/aliases/canary/shadow', 'm/aliases/canary']) {
      const answer = await service.fetch(`/admin/models/${path}`, { method: 'PUT', body });
      expect(answer.status).toBe(401);
    }
    expect((await service.fetch('/admin/models/m/shadows')).status).toBe(401);
  });
});

describe('GET /admin/models/{name}/shadows', () => {
  it('shows what copies of the model showed, and nothing where none are sent', async () => {
    const none = await service.fetch('/admin/models/any/shadows', { headers: bearer(adminKey) });
    expect(await none.json()).toEqual({ shadows: [] });
    const figures = new ShadowFigures();
    for (const model of ['any', 'other']) figures.countSkipped({ model, alias: 'stable', version: '2' });
    const { services } = service;
    const shadows = new Shadows({
      clock: services.clock,
      logger: services.logger,
      random: Math.random,
      defer: () => {},
      figures,
      resolve: (name, version) => services.repository.resolve(name, version),
      run: () => Promise.resolve(new Map()),
      mayRun: () => true,
    });
    const app = createApp({ ...services, shadows });
    const answer = await app.request('/admin/models/any/shadows', { headers: bearer(adminKey) });
    expect(await answer.json()).toEqual({ shadows: figures.ofModel('any') });
  });
});
