import { expect, it } from 'vitest';
import type { Manifest } from '../../src/repository/schema.ts';
import { ManualClock } from '../support/clock.ts';
import { identityModel } from '../support/onnx-models.ts';
import { publishTiny, testService } from '../support/services.ts';

const x: Manifest['inputs'][number] = { name: 'x', datatype: 'FP32', shape: [-1] };
const body = JSON.stringify({ inputs: [{ ...x, shape: [1], data: [1] }] });

it.each(['missing', 'damaged'] as const)(
  'a model whose graph is %s is not ready, and is again once it was pushed again',
  async (harm) => {
    const clock = new ManualClock();
    const service = await testService({ clock });
    const graph = new Uint8Array(identityModel('FP32', ['n']).graph);
    const manifest = await publishTiny(service, graph, {
      name: 'echo',
      inputs: [x],
      outputs: [{ ...x, name: 'y' }],
    });
    const { durable, digest } = { durable: service.services.blobs, digest: manifest.graph.digest };
    if (harm === 'missing') await durable.delete(digest);
    else await durable.put(digest, new Uint8Array(graph.byteLength));
    const ready = () => service.fetch('/v2/models/echo/ready');
    const answer = await ready();
    expect([answer.status, await answer.json()]).toEqual([503, { name: 'echo', ready: false }]);
    expect(answer.headers.get('Retry-After')).toBe('30');
    await service.services.publisher.putBlob(digest, graph);
    clock.advance(2000);
    expect((await ready()).status).toBe(200);
  },
);

it('a loaded model is ready without its blobs', async () => {
  const service = await testService();
  const graph = new Uint8Array(identityModel('FP32', ['n']).graph);
  const manifest = await publishTiny(service, graph, {
    name: 'echo',
    inputs: [x],
    outputs: [{ ...x, name: 'y' }],
  });
  expect((await service.fetch('/v2/models/echo/infer', { method: 'POST', body })).status).toBe(200);
  await service.services.blobs.delete(manifest.graph.digest);
  expect((await service.fetch('/v2/models/echo/ready')).status).toBe(200);
});
