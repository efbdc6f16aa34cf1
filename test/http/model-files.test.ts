/** Weights that leave the server: only where the terms let them, through the gate, as they were signed. */
import { beforeAll, describe, expect, it } from 'vitest';
import { readReceipt } from '../../src/governance/receipt/read.ts';
import { parseBundle } from '../../src/repository/signing/bundle.ts';
import { digestOf } from '../../src/storage/digest.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { bearer, callerKey, publishTiny, type TestService, testService } from '../support/services.ts';
import { licenceText, termsOf } from '../support/terms.ts';

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 2] });
const signature = { inputs: [spec('x')], outputs: [spec('y')] };
const graph = fakeGraph({ op: 'identity', ...signature });

let service: TestService;
beforeAll(async () => {
  service = await testService({ engine: createFakeEngine() });
  await publishTiny(service, graph, {
    name: 'acme/free',
    ...signature,
    terms: termsOf({ weightsMayLeave: true }),
  });
  await publishTiny(service, graph, { name: 'kept', ...signature });
});

const file = (name: string, model = 'acme/free') =>
  service.fetch(`/v1/models/${model}/versions/1/files/${name}`, { headers: bearer(callerKey) });

describe('the files of a version', () => {
  it('are those that were signed, byte for byte', async () => {
    const sent = new Uint8Array(await (await file('model.onnx')).arrayBuffer());
    expect(sent).toEqual(graph);
    expect(await (await file('LICENSE')).text()).toBe(licenceText);
    const manifest = await file('manifest.json');
    const digest = await digestOf(new Uint8Array(await manifest.clone().arrayBuffer()));
    expect(manifest.headers.get('edgewise-model')).toBe(`acme/free@1; digest=${digest}`);
    expect(await manifest.json()).toMatchObject({ name: 'acme/free' });
    const { envelope } = parseBundle(new Uint8Array(await (await file('model.sig')).arrayBuffer()));
    expect(JSON.parse(new TextDecoder().decode(envelope.payload))).toMatchObject({
      predicate: { resources: [{ name: 'LICENSE' }, { name: 'manifest.json' }, { name: 'model.onnx' }] },
    });
  });

  it('leave a receipt that says what was done with the model', async () => {
    const answer = await file('model.onnx');
    const keys = service.services.governance?.ring.verifying ?? new Map();
    const { receipt } = await readReceipt(answer.headers.get('edgewise-receipt') ?? '', keys);
    expect(receipt).toMatchObject({
      decision: { action: 'download', outcome: 'permitted' },
      route: { reason: 'download', reproducibility: 'none' },
      meter: { units: 0 },
    });
  });

  it('stay where the terms keep them', async () => {
    const answer = await file('model.onnx', 'kept');
    expect(answer.status).toBe(403);
    expect(answer.headers.get('link')).toBe('</v1/models/kept/terms>; rel="license"');
    expect(answer.headers.get('edgewise-receipt')).not.toBeNull();
  });

  it('are no others', async () => {
    for (const name of ['model.onnx.data', '..%2F..%2Findex', 'toString']) {
      expect((await file(name)).status, name).toBe(404);
    }
  });
});
