import { describe, expect, it } from 'vitest';
import {
  attributeTypes,
  type NodeProto,
  type TensorProto,
  tensorTypes,
} from '../../../src/repository/onnx/proto.ts';
import { drawsRandomNumbers } from '../../../src/repository/onnx/random.ts';
import { branches, matMul, model, value } from './models.ts';

const dice: NodeProto = { opType: 'RandomNormal', output: ['noise'] };
const bool = (name: string, on: number): TensorProto => ({
  name,
  dims: [],
  dataType: tensorTypes.BOOL,
  rawData: Uint8Array.of(on),
});
const dropout = (...input: string[]): NodeProto => ({ opType: 'Dropout', input, output: ['y'] });

describe('drawsRandomNumbers()', () => {
  it('finds no random operator in models without one', () => {
    expect(drawsRandomNumbers(matMul(2, 2))).toBe(false);
    expect(drawsRandomNumbers(branches(2))).toBe(false);
  });

  it.each([
    'Bernoulli',
    'Multinomial',
    'RandomNormal',
    'RandomNormalLike',
    'RandomUniform',
    'RandomUniformLike',
    'Sampling',
  ])('finds %s', (opType) => {
    expect(drawsRandomNumbers(model({ node: [{ opType, output: ['y'] }] }))).toBe(true);
  });

  it('finds operators in branches of branches, and in functions', () => {
    const inner = { name: 'inner', node: [dice] };
    const holder = (opType: string, g: object): NodeProto => ({
      opType,
      output: ['y'],
      attribute: [{ name: 'body', type: attributeTypes.GRAPH, g }],
    });
    const outer = { name: 'outer', node: [holder('Loop', inner)] };
    expect(drawsRandomNumbers(model({ node: [holder('If', outer)] }))).toBe(true);
    const calls = { node: [{ opType: 'F', domain: 'own', output: ['y'] }] };
    expect(drawsRandomNumbers(model(calls, { functions: [{ name: 'F', node: [dice] }] }))).toBe(true);
    expect(
      drawsRandomNumbers(model(calls, { functions: [{ name: 'F', node: [holder('If', inner)] }] })),
    ).toBe(true);
  });

  it('reads the type of a constant, not its 40 MB', () => {
    const large = {
      name: 'off',
      dims: [10_000_000n],
      dataType: tensorTypes.FLOAT,
      rawData: new Uint8Array(40_000_000),
    };
    expect(drawsRandomNumbers(model({ node: [dropout('x', '', 'off')], initializer: [large] }))).toBe(true);
    expect(
      drawsRandomNumbers(model({ node: [dropout('x', '', 'off')], initializer: [bool('off', 0)] })),
    ).toBe(false);
  });

  it('ignores training graphs, which are never run', () => {
    const { graph } = matMul(2, 2);
    expect(
      drawsRandomNumbers(model(graph ?? {}, { trainingInfo: [{ initialization: { node: [dice] } }] })),
    ).toBe(false);
  });

  it('counts Dropout as random unless its training mode is absent or the constant false', () => {
    const x = [value('x', [2])];
    expect(drawsRandomNumbers(model({ input: x, node: [dropout('x')] }))).toBe(false);
    expect(drawsRandomNumbers(model({ input: x, node: [dropout('x', 'ratio', '')] }))).toBe(false);
    const by = (initializer: TensorProto[], input = x) =>
      drawsRandomNumbers(model({ input, initializer, node: [dropout('x', '', 'mode')] }));
    expect(by([bool('mode', 0)])).toBe(false);
    expect(by([bool('mode', 1)])).toBe(true);
    expect(by([])).toBe(true);
    // A caller can give it another value.
    expect(by([bool('mode', 0)], [...x, value('mode', [], tensorTypes.BOOL)])).toBe(true);
  });

  it('reads the mode from a Constant, unless another value has the same name', () => {
    const constant = (t: TensorProto): NodeProto => ({
      opType: 'Constant',
      output: ['mode'],
      attribute: [{ name: 'value', type: attributeTypes.TENSOR, t }],
    });
    const node = [constant(bool('', 0)), dropout('x', '', 'mode')];
    expect(drawsRandomNumbers(model({ node }))).toBe(false);
    expect(drawsRandomNumbers(model({ node: [constant(bool('', 1)), dropout('x', '', 'mode')] }))).toBe(true);
    const other = { name: 'F', node: [{ opType: 'Not', input: ['a'], output: ['mode'] }] };
    expect(drawsRandomNumbers(model({ node }, { functions: [other] }))).toBe(true);
  });
});
