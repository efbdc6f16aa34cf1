/** Names of tensors are a stranger's: each is a plain name, from the push to the answer. */
import { describe, expect, it } from 'vitest';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import { checkModel } from '../../src/repository/onnx/check.ts';
import { decodeModel } from '../../src/repository/onnx/proto.ts';
import { maxTensors } from '../../src/tensor/limits.ts';
import { model, node, value } from '../support/onnx-models.ts';
import { publishTiny, testService } from '../support/services.ts';

const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty'];

const others = names.map((name) => `${name}_other`);

/** Each of `inputs`, given back under a name of `outputs`. */
function echoGraph(inputs: readonly string[], outputs: readonly string[]): Uint8Array<ArrayBuffer> {
  return model({
    node: inputs.map((name, index) => node('Identity', [name], [outputs[index] ?? ''])),
    input: inputs.map((name) => value(name, 'FP32', ['n', 2])),
    output: outputs.map((name) => value(name, 'FP32', ['n', 2])),
  });
}

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 2] });

describe('a tensor with the name of a member of Object.prototype', () => {
  it.each([
    ['edge', 'an input', names, others],
    ['edge', 'an output', others, names],
    ['origin', 'an input', names, others],
    ['origin', 'an output', others, names],
  ] as const)('is served at the %s as %s', async (tier, _, inputs, outputs) => {
    const service = await testService(tier === 'origin' ? { tier, engine: createOrtNodeEngine() } : {});
    const graph = echoGraph(inputs, outputs);
    await publishTiny(service, graph, {
      name: 'names',
      inputs: inputs.map(spec),
      outputs: outputs.map(spec),
      labels: Object.fromEntries(outputs.map((name) => [name, ['no', `label of ${name}`]])),
    });
    const metadata = await (await service.fetch('/v2/models/names')).json();
    expect(metadata).toMatchObject({
      inputs: inputs.map((name) => ({ name })),
      outputs: outputs.map((name) => ({ name })),
    });
    const ask = async (parameters: object) => {
      const answer = await service.fetch('/v2/models/names/infer', {
        method: 'POST',
        body: JSON.stringify({
          inputs: inputs.map((name, index) => ({
            name,
            datatype: 'FP32',
            shape: [1, 2],
            data: [index, index + 1],
          })),
          outputs: outputs.map((name) => ({ name, parameters })),
        }),
      });
      expect(answer.status).toBe(200);
      return await answer.json();
    };
    expect(await ask({})).toMatchObject({
      outputs: outputs.map((name, index) => ({ name, data: [index, index + 1] })),
    });
    expect(await ask({ classification: 1 })).toMatchObject({
      outputs: outputs.map((name, index) => ({
        name,
        data: [expect.stringMatching(`^${index + 1}\\.?\\d*:1:label of ${name}$`)],
      })),
    });
  });

  it('is checked like any other tensor', () => {
    expect(() => checkModel(decodeModel(echoGraph(names, others)))).not.toThrow();
  });
});

describe('a table with an input for each column', () => {
  it(`is served with ${maxTensors} columns`, async () => {
    const columns = Array.from({ length: maxTensors }, (_, index) => `a_column_of_a_table_${index}`);
    const graph = model({
      node: [node('Sum', columns, ['y'])],
      input: columns.map((name) => value(name, 'FP32', ['n', 1])),
      output: [value('y', 'FP32', ['n', 1])],
    });
    checkModel(decodeModel(graph));
    const service = await testService();
    await publishTiny(service, graph, {
      name: 'table',
      inputs: columns.map((name) => ({ name, datatype: 'FP32', shape: [-1, 1] })),
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 1] }],
    });
    const answer = await service.fetch('/v2/models/table/infer', {
      method: 'POST',
      body: JSON.stringify({
        inputs: columns.map((name) => ({ name, datatype: 'FP32', shape: [2, 1], data: [1, 2] })),
      }),
    });
    expect(await answer.json()).toMatchObject({ outputs: [{ data: [maxTensors, 2 * maxTensors] }] });
  });

  it('is refused before it is measured if it has more columns or too long a name', () => {
    const wide = (count: number, name: (index: number) => string) =>
      decodeModel(
        model({
          node: [
            node(
              'Sum',
              Array.from({ length: count }, (_, index) => name(index)),
              ['y'],
            ),
          ],
          input: Array.from({ length: count }, (_, index) => value(name(index), 'FP32', ['n', 1])),
          output: [value('y', 'FP32', ['n', 1])],
        }),
      );
    expect(() => checkModel(wide(maxTensors + 1, (index) => `c${index}`))).toThrow(
      /has 513 inputs; expected at most 512\. Join columns/,
    );
    expect(() => checkModel(wide(1, () => 'n'.repeat(257)))).toThrow(
      /has 257 characters; expected at most 256/,
    );
    expect(() => checkModel(wide(1, () => 'n'.repeat(256)))).not.toThrow();
    expect(() => checkModel(wide(maxTensors, (index) => `${index}${'n'.repeat(60)}`))).toThrow(
      /the names of the 513 inputs and outputs take \d+ bytes of a receipt; expected at most 40000\. Shorten/,
    );
  });
});
