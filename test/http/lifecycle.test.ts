import { beforeEach, describe, expect, it } from 'vitest';
import { createApp } from '../../src/http/app.ts';
import type { Lifecycle } from '../../src/http/lifecycle.ts';
import { loadReportOf } from '../../src/protocol/load-report.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import { identityModel } from '../support/onnx-models.ts';
import { publishTiny, testService } from '../support/services.ts';

const x: Manifest['inputs'][number] = { name: 'x', datatype: 'FP32', shape: [-1] };
const body = JSON.stringify({ inputs: [{ ...x, shape: [1], data: [1] }] });

let lifecycle: Lifecycle;
let ask: (path: string, init?: RequestInit) => Promise<Response>;

beforeEach(async () => {
  const service = await testService();
  const graph = new Uint8Array(identityModel('FP32', ['n']).graph);
  await publishTiny(service, graph, { name: 'acme/echo', inputs: [x], outputs: [{ ...x, name: 'y' }] });
  lifecycle = { phase: 'serving' };
  const app = createApp({ ...service.services, tier: 'origin', lifecycle });
  ask = async (path, init) => app.request(path, init);
});

const infer = (headers: Record<string, string> = {}, model = 'acme%2Fecho') =>
  ask(`/v2/models/${model}/infer`, { method: 'POST', body, headers });

describe('a server that starts or drains', () => {
  it.each(['starting', 'draining'] as const)('is live and, while it is %s, not ready', async (phase) => {
    lifecycle.phase = phase;
    expect((await ask('/v2/health/live')).status).toBe(200);
    const server = await ask('/v2/health/ready');
    expect([server.status, await server.json()]).toEqual([503, { ready: false }]);
    expect(server.headers.get('Retry-After')).toBe('1');
    const model = await ask('/v2/models/acme%2Fecho/ready');
    expect([model.status, await model.json()]).toEqual([503, { name: 'acme/echo', ready: false }]);
    expect((await infer()).status).toBe(200);
  });

  it('is ready while it serves', async () => {
    expect((await ask('/v2/health/ready')).status).toBe(200);
    expect((await ask('/v2/models/acme%2Fecho/ready')).status).toBe(200);
  });

  it('ends each connection with its answer while it drains, and not before', async () => {
    expect((await infer()).headers.get('Connection')).toBeNull();
    lifecycle.phase = 'draining';
    expect((await infer()).headers.get('Connection')).toBe('close');
    expect((await ask('/v2/nowhere')).headers.get('Connection')).toBe('close');
  });
});

describe('the load report of an origin', () => {
  it('stands in each answer of an inference, in the form that was asked for', async () => {
    const idle = { utilisation: 0, inFlight: 0, queued: 0 };
    const answer = await infer();
    expect(loadReportOf(answer.headers)).toEqual(idle);
    expect(answer.headers.get('endpoint-load-metrics')).toMatch(/^JSON /);
    const text = await infer({ 'endpoint-load-metrics-format': 'text' });
    expect(text.headers.get('endpoint-load-metrics')).toMatch(/^TEXT /);
    expect(loadReportOf(text.headers)).toEqual(idle);
  });

  it('stands in refusals and in answers for names with a raw slash, and in no other answers', async () => {
    expect(loadReportOf((await infer({}, 'absent')).headers)).toBeDefined();
    expect(loadReportOf((await infer({}, 'acme/echo')).headers)).toBeDefined();
    for (const path of ['/v2', '/v2/models', '/v2/models/acme%2Fecho', '/v2/health/ready']) {
      expect((await ask(path)).headers.has('endpoint-load-metrics')).toBe(false);
    }
  });

  it('says that a draining server is full', async () => {
    lifecycle.phase = 'draining';
    expect(loadReportOf((await infer()).headers)?.utilisation).toBe(1);
  });
});
