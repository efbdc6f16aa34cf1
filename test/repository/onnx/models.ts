/** Small models, made by hand. */
import {
  attributeTypes,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  tensorTypes,
  type ValueInfoProto,
} from '../../../src/repository/onnx/proto.ts';

export function floats(
  name: string,
  dims: readonly number[],
  at: (index: number) => number = Math.sin,
): TensorProto {
  const count = dims.reduce((product, dim) => product * dim, 1);
  const values = Float32Array.from({ length: count }, (_, index) => at(index));
  return {
    name,
    dims: dims.map(BigInt),
    dataType: tensorTypes.FLOAT,
    rawData: new Uint8Array(values.buffer),
  };
}

export function value(
  name: string,
  dims: readonly (number | string)[],
  elemType: number = tensorTypes.FLOAT,
): ValueInfoProto {
  const dim = dims.map((size) =>
    typeof size === 'string' ? { dimParam: size } : { dimValue: BigInt(size) },
  );
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

export function model(graph: GraphProto, rest: Partial<ModelProto> = {}): ModelProto {
  return {
    irVersion: 8n,
    opsetImport: [{ domain: '', version: 17n }],
    graph: { name: 'g', ...graph },
    ...rest,
  };
}

/** y = x · w, x of [n, rows], w of [rows, columns]. */
export function matMul(rows: number, columns: number): ModelProto {
  return model({
    node: [{ opType: 'MatMul', input: ['x', 'w'], output: ['y'] }],
    initializer: [floats('w', [rows, columns])],
    input: [value('x', ['n', rows])],
    output: [value('y', ['n', columns])],
  });
}

/** A chain of `layers` products with square matrices. */
export function deepMatMul(size: number, layers: number): ModelProto {
  const node: NodeProto[] = [];
  const initializer: TensorProto[] = [];
  for (let layer = 0; layer < layers; layer += 1) {
    node.push({ opType: 'MatMul', input: [`h${layer}`, `w${layer}`], output: [`h${layer + 1}`] });
    initializer.push(floats(`w${layer}`, [size, size], (index) => Math.sin(index + layer) / size));
  }
  return model({
    node,
    initializer,
    input: [value('h0', ['n', size])],
    output: [value(`h${layers}`, ['n', size])],
  });
}

/**
 * y = x · w, where both branches of an If have a `w` of their own; the else branch holds another If, one branch of which
 * takes its weights from outside.
 */
export function branches(size: number): ModelProto {
  const product = (scale: number, weights: string): GraphProto => ({
    name: `branch${scale}`,
    node: [{ opType: 'MatMul', input: ['x', weights], output: ['product'] }],
    initializer: [floats(weights, [size, size], (index) => Math.cos(index) * scale)],
    output: [value('product', ['n', size])],
  });
  const choose = (condition: string, then: GraphProto, other: GraphProto, output: string): NodeProto => ({
    opType: 'If',
    input: [condition],
    output: [output],
    attribute: [
      { name: 'then_branch', type: attributeTypes.GRAPH, g: then },
      { name: 'else_branch', type: attributeTypes.GRAPH, g: other },
    ],
  });
  const outer: GraphProto = {
    name: 'outer',
    node: [
      choose(
        'second',
        product(2, 'v'),
        {
          ...product(3, 'w'),
          initializer: [],
          node: [{ opType: 'MatMul', input: ['x', 'w'], output: ['product'] }],
        },
        'inner',
      ),
      { opType: 'MatMul', input: ['inner', 'w'], output: ['twice'] },
    ],
    initializer: [floats('w', [size, size], (index) => Math.sin(index) / size)],
    output: [value('twice', ['n', size])],
  };
  return model({
    node: [choose('first', product(1, 'w'), outer, 'y')],
    input: [
      value('x', ['n', size]),
      value('first', [], tensorTypes.BOOL),
      value('second', [], tensorTypes.BOOL),
    ],
    output: [value('y', ['n', size])],
  });
}

/** y = Frobnicate(x): an operator that no runtime has. */
export function unknownOperator(): ModelProto {
  return model({
    node: [{ opType: 'Frobnicate', input: ['x'], output: ['y'] }],
    input: [value('x', [1])],
    output: [value('y', [1])],
  });
}
