import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { inspectModel } from '../../../src/repository/onnx/inspect.ts';
import { decodeModel, tensorTypes } from '../../../src/repository/onnx/proto.ts';
import { branches, floats, matMul, model, value } from './models.ts';

describe('inspectModel()', () => {
  it('lists inputs, outputs and operators of the speech model, subgraphs included', () => {
    const file = readFileSync('node_modules/@ricky0123/vad-web/dist/silero_vad_v6.onnx');
    const { inputs, outputs, opsets, operators, nodeCount } = inspectModel(decodeModel(file));
    expect(inputs).toEqual([
      { name: 'input', datatype: 'FP32', shape: [-1, -1] },
      { name: 'state', datatype: 'FP32', shape: [2, -1, 128] },
      { name: 'sr', datatype: 'INT64', shape: [] },
    ]);
    expect(outputs.map(({ name }) => name)).toEqual(['output', 'stateN']);
    expect(opsets).toEqual({ 'ai.onnx': 16 });
    expect(operators).toContainEqual({ domain: '', opType: 'If', count: 25 });
    expect(nodeCount).toBe(689);
  });

  it('leaves out inputs that have an initializer', () => {
    const { graph } = matMul(3, 2);
    const old = model({ ...graph, input: [...(graph?.input ?? []), value('w', [3, 2])] });
    expect(inspectModel(old).inputs.map(({ name }) => name)).toEqual(['x']);
    expect(inspectModel(old).weightBytes).toBe(24);
  });

  it('counts operators in branches', () => {
    expect(inspectModel(branches(2)).operators).toEqual([
      { domain: '', opType: 'MatMul', count: 4 },
      { domain: '', opType: 'If', count: 2 },
    ]);
  });

  it('requires the rank of a value without a shape', () => {
    const shapeless = model({
      input: [{ name: 'x', type: { tensorType: { elemType: tensorTypes.FLOAT } } }],
      output: [value('y', [1])],
    });
    expect(() => inspectModel(shapeless)).toThrow(/declares no shape for "x".*sampleShapes/);
    expect(inspectModel(shapeless, new Map([['x', 2]])).inputs[0]?.shape).toEqual([-1, -1]);
  });

  it.each([
    ['a sequence', { sequenceType: { elemType: { tensorType: { elemType: 1 } } } }, /not a tensor/],
    ['bfloat16', { tensorType: { elemType: tensorTypes.BFLOAT16, shape: {} } }, /BFLOAT16/],
  ])('refuses %s as an input', (_, type, message) => {
    const refused = model({
      input: [{ name: 'x', type }],
      initializer: [floats('w', [1])],
      output: [value('w', [1])],
    });
    expect(() => inspectModel(refused)).toThrow(
      expect.objectContaining({ code: 'unsupported_datatype', message: expect.stringMatching(message) }),
    );
  });
});
