import { beforeAll, describe, expect, it } from 'vitest';
import type { Manifest } from '../../src/repository/schema.ts';
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
