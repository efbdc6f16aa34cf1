import { beforeAll, describe, expect, it } from 'vitest';
import { escapeOrgName } from '../../src/http/org-names.ts';
import { identityModel } from '../support/onnx-models.ts';
import { adminKey, bearer, publishTiny, type TestService, testService } from '../support/services.ts';

describe('escapeOrgName()', () => {
  it.each([
    ['/v2/models/acme/score', '/v2/models/acme%2Fscore'],
    ['/v2/models/acme/score/infer', '/v2/models/acme%2Fscore/infer'],
    ['/v2/models/acme/score/versions/2/infer', '/v2/models/acme%2Fscore/versions/2/infer'],
    ['/v2/models/acme/score/versions/stable', '/v2/models/acme%2Fscore/versions/stable'],
    ['/v2/repository/models/acme/score/load', '/v2/repository/models/acme%2Fscore/load'],
    ['/v1/models/acme/score/terms', '/v1/models/acme%2Fscore/terms'],
    ['/v2/models/acme/score/more/infer', undefined],
    ['/v2/models/acme%2Fscore/infer', undefined],
    ['/v2/models/score', undefined],
    ['/admin/models/acme/score', undefined],
  ])('turns %s into %s', (path, expected) => {
    expect(escapeOrgName(path, 'GET')).toBe(expected);
  });
});

describe('a model of an organisation', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await testService();
    await publishTiny(service, new Uint8Array(identityModel('FP32', ['n']).graph), {
      name: 'acme/score',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
    });
  });
  const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [3] }] });

  it.each(['acme%2Fscore', 'acme/score'])('is reached as %s', async (name) => {
    expect(await (await service.fetch(`/v2/models/${name}`)).json()).toMatchObject({ name: 'acme/score' });
    expect((await service.fetch(`/v2/models/${name}/ready`)).status).toBe(200);
    for (const version of ['', '/versions/1']) {
      const answer = await service.fetch(`/v2/models/${name}${version}/infer`, {
        method: 'POST',
        body,
        headers: { 'X-Request-Id': 'mine' },
      });
      expect(await answer.json()).toMatchObject({ model_name: 'acme/score', outputs: [{ data: [3] }] });
      expect(answer.headers.get('X-Request-Id')).toBe('mine');
    }
    const load = { method: 'POST', headers: bearer(adminKey) };
    expect((await service.fetch(`/v2/repository/models/${name}/load`, load)).status).toBe(200);
  });

  it.each([
    ['POST', '/v2/models/score/generate'],
    ['POST', '/v2/models/score/generate_stream'],
    ['POST', '/v2/models/score/versions/1/generate'],
    ['POST', '/v2/models/acme/score/generate'],
    ['GET', '/v2/models/score/trace/setting'],
    ['GET', '/v2/models/score/unknown'],
  ])('is not what %s %s asks for: a 404 names that path', async (method, path) => {
    const answer = await service.fetch(path, { method });
    expect(answer.status).toBe(404);
    expect(await answer.json()).toEqual({ error: expect.stringContaining(`there is no ${path} here`) });
  });

  it('that is not there, and paths that are none, are refused', async () => {
    const missing = await service.fetch('/v2/models/acme/nothing/infer', { method: 'POST', body });
    expect(missing.headers.get('Edgewise-Error')).toBe('model_not_found');
    const path = await service.fetch('/v2/models/acme/score/explain', { method: 'POST', body });
    expect(path.headers.get('Edgewise-Error')).toBe('not_found');
  });
});
