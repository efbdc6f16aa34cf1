/** Models whose graph declares other output shapes than the runtime gives: both tiers answer alike. */
import { beforeAll, describe, expect, it } from 'vitest';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import { attributeTypes, tensorTypes } from '../../src/repository/onnx/proto.ts';
import type { TensorSpec } from '../../src/tensor/tensor.ts';
import { endpointAt } from '../routing/servers.ts';
import { measureGraph } from '../support/measured-answers.ts';
import { model, node, value } from '../support/onnx-models.ts';
import { bearer, callerKey, publishTiny, type TestService, testService } from '../support/services.ts';

// As exporters write them: a label for the whole batch, the target of a Reshape, a list of a fixed length.
const graph = model({
  node: [
    node('ArgMax', ['x'], ['label'], {
      attribute: [
        { name: 'axis', type: attributeTypes.INT, i: 1n },
        { name: 'keepdims', type: attributeTypes.INT, i: 0n },
      ],
    }),
    node('Reshape', ['x', 'pairs'], ['scores']),
    node('NonZero', ['x'], ['places']),
  ],
  initializer: [
    { name: 'pairs', dims: [3n], dataType: tensorTypes.INT64, int64Data: BigInt64Array.of(0n, 2n, 2n) },
  ],
  input: [value('x', 'FP32', ['batch', 4])],
  output: [
    value('label', 'INT64', [1]),
    value('scores', 'FP32', ['batch', 4]),
    value('places', 'INT64', [2, 7]),
  ],
});
const inputs: readonly TensorSpec[] = [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }];
const declared: readonly TensorSpec[] = [
  { name: 'label', datatype: 'INT64', shape: [1] },
  { name: 'scores', datatype: 'FP32', shape: [-1, 4] },
  { name: 'places', datatype: 'INT64', shape: [2, 7] },
];

let edge: TestService;
beforeAll(async () => {
  const origin = await testService({ tier: 'origin', engine: createOrtNodeEngine({ threads: 1 }) });
  edge = await testService({
    endpoints: [
      {
        ...endpointAt('http://origin.test'),
        headers: bearer(callerKey),
        fetch: (url, init) => origin.fetch(new URL(url).pathname, init),
      },
    ],
  });
  const { outputs: measured } = await measureGraph(graph);
  for (const service of [edge, origin]) {
    for (const [name, outputs] of [
      ['declared', declared],
      ['measured', measured],
    ] as const) {
      await publishTiny(service, graph, { name, inputs: inputs.map(copy), outputs: outputs.map(copy) }, [
        'stable',
      ]);
    }
  }
});

const copy = ({ name, datatype, shape }: TensorSpec) => ({ name, datatype, shape: [...shape] });

async function ask(name: string, tier: 'edge' | 'origin', rows: number): Promise<unknown> {
  const data = Array.from({ length: rows * 4 }, (_, index) => (index % 3 === 0 ? 0 : index));
  const answer = await edge.fetch(`/v2/models/${name}/infer`, {
    method: 'POST',
    headers: { 'Edgewise-Tier': tier },
    body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [rows, 4], data }] }),
  });
  expect([answer.status, answer.headers.get('Edgewise-Tier')]).toEqual([200, tier]);
  return ((await answer.json()) as { readonly outputs: unknown }).outputs;
}

describe('a model whose graph declares other shapes than the runtime returns', () => {
  it.each(['declared', 'measured'])(
    'answers alike at both tiers, published with shapes as %s',
    async (name) => {
      for (const rows of [1, 2, 4]) {
        const atOrigin = await ask(name, 'origin', rows);
        expect(atOrigin).toEqual(await ask(name, 'edge', rows));
        expect(atOrigin).toMatchObject([
          { name: 'label', shape: [rows] },
          { name: 'scores', shape: [rows, 2, 2] },
          { name: 'places', shape: [2, expect.any(Number)] },
        ]);
      }
      // None of it was a failure of the endpoint.
      const pool = edge.services.origin?.snapshot().endpoints;
      expect(pool).toMatchObject([{ state: 'healthy', failures: 0, ejections: 0 }]);
    },
  );

  it('has the measured shapes in its metadata, with free dimensions where they vary', async () => {
    const answer = await edge.fetch('/v2/models/measured');
    expect(await answer.json()).toMatchObject({
      outputs: [
        { name: 'label', shape: [-1] },
        { name: 'scores', shape: [-1, 2, 2] },
        { name: 'places', shape: [2, -1] },
      ],
    });
  });
});
