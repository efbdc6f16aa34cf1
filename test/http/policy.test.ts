/** The stop switch and policy packs, over HTTP. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { openPacks, signPack } from '../../src/governance/policy/packs.ts';
import { generateSigningKey, importSigningKeys } from '../../src/governance/receipt/keys.ts';
import { identityModel } from '../support/onnx-models.ts';
import {
  adminKey,
  bearer,
  callerKey,
  publishTiny,
  type TestService,
  testService,
} from '../support/services.ts';
import { termsOf } from '../support/terms.ts';

const graph = new Uint8Array(identityModel('FP32', ['n']).graph);
let service: TestService;
let wallClock = Date.parse('2026-11-24T12:00:00Z');

beforeAll(async () => {
  const ring = await importSigningKeys(JSON.stringify({ keys: [await generateSigningKey()] }));
  const pack = await signPack(JSON.parse(readFileSync('packs/california-ab853.json', 'utf8')), ring.signing);
  const packs = await openPacks([pack], ring.verifying);
  service = await testService({ packs, now: () => wallClock });
  const tensors = {
    inputs: [{ name: 'x', datatype: 'FP32' as const, shape: [-1] }],
    outputs: [{ name: 'y', datatype: 'FP32' as const, shape: [-1] }],
  };
  await publishTiny(service, graph, { name: 'plain', ...tensors });
  await publishTiny(service, graph, {
    name: 'acme/writer',
    ...tensors,
    terms: termsOf({ kind: 'generative' }),
  });
  const marking = { method: 'C2PA 2.4' };
  await publishTiny(service, graph, {
    name: 'painter',
    ...tensors,
    terms: termsOf({ kind: 'generative', marking }),
  });
});

const admin = (method: string, path: string, body?: unknown) =>
  service.fetch(path, {
    method,
    headers: bearer(adminKey),
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
const infer = (name: string) =>
  service.fetch(`/v2/models/${encodeURIComponent(name)}/infer`, {
    method: 'POST',
    body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [3] }] }),
  });
const json = async (answer: Response) => JSON.parse(await answer.text());
const codeOf = (answer: Response) => answer.headers.get('edgewise-error');

describe('the stop switch', () => {
  it('refuses everybody until the model is let go on, with a receipt of each refusal', async () => {
    expect((await infer('acme/writer')).status).toBe(200);
    const stopped = await admin('PUT', '/admin/models/acme%2Fwriter/stop', { reason: 'it answers wrongly' });
    expect(await json(stopped)).toEqual({
      since: new Date(wallClock).toISOString(),
      reason: 'it answers wrongly',
    });
    const refused = await infer('acme/writer');
    expect([refused.status, codeOf(refused)]).toEqual([403, 'model_stopped']);
    expect(refused.headers.get('edgewise-receipt')).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    expect((await json(refused)).error).toContain('it answers wrongly');
    expect((await infer('plain')).status).toBe(200);
    expect(Object.keys((await json(await admin('GET', '/admin/stops'))).stops)).toEqual(['acme/writer']);
    expect(await json(await admin('DELETE', '/admin/models/acme%2Fwriter/stop'))).toEqual({
      wasStopped: true,
    });
    expect(await json(await admin('DELETE', '/admin/models/acme%2Fwriter/stop'))).toEqual({
      wasStopped: false,
    });
    expect((await infer('acme/writer')).status).toBe(200);
  });

  it('is the admin’s', async () => {
    for (const headers of [{}, bearer(callerKey)]) {
      for (const [method, path] of [
        ['GET', '/admin/stops'],
        ['DELETE', '/admin/models/plain/stop'],
        ['GET', '/admin/packs'],
        ['GET', '/admin/packs/dry-run'],
      ]) {
        expect([401, 403]).toContain(
          (await service.fetch(path ?? '', { method: method ?? '', headers })).status,
        );
      }
    }
    expect(codeOf(await admin('PUT', '/admin/models/plain/stop', {}))).toBe('invalid_request');
  });
});

describe('policy packs', () => {
  it('are listed, and say before what they will refuse', async () => {
    const { packs } = await json(await admin('GET', '/admin/packs'));
    expect(packs).toMatchObject([{ id: 'california-ab853', digest: expect.stringMatching(/^sha256:/) }]);
    expect(await json(await admin('GET', '/admin/packs/dry-run'))).toMatchObject({
      versions: 3,
      refused: [],
    });
    const { refused } = await json(await admin('GET', '/admin/packs/dry-run?at=2027-01-01'));
    expect(refused).toMatchObject([{ model: 'acme/writer', rule: 'hosting-disclosures', refusedNow: false }]);
    expect(codeOf(await admin('GET', '/admin/packs/dry-run?at=soon'))).toBe('invalid_request');
  });

  it('refuse from their date on', async () => {
    expect((await infer('acme/writer')).status).toBe(200);
    wallClock = Date.parse('2027-01-01T00:00:00Z');
    const refused = await infer('acme/writer');
    expect([refused.status, codeOf(refused)]).toEqual([451, 'policy_refused']);
    expect((await json(refused)).error).toContain('22757.3.2');
    expect((await infer('painter')).status).toBe(200);
    expect((await infer('plain')).status).toBe(200);
  });
});
