import { describe, expect, it } from 'vitest';
import { findValueDependentBranch } from '../../../src/repository/onnx/branches.ts';
import {
  attributeTypes,
  decodeModel,
  type GraphProto,
  type NodeProto,
  tensorTypes,
} from '../../../src/repository/onnx/proto.ts';
import { model, node, value } from '../../support/onnx-models.ts';

const graphAttribute = (name: string, g: GraphProto) => ({ name, type: attributeTypes.GRAPH, g });
const constant = (name: string, data: bigint, dataType: number = tensorTypes.INT64) => ({
  name,
  dims: [],
  dataType,
  ...(dataType === tensorTypes.BOOL
    ? { int32Data: Int32Array.of(Number(data)) }
    : { int64Data: BigInt64Array.of(data) }),
});

function buildModel(nodes: readonly NodeProto[], initializer: GraphProto['initializer'] = []) {
  return decodeModel(
    model({
      node: nodes,
      initializer,
      input: [value('x', 'FP32', ['batch', 4]), value('n', 'INT64', [])],
      output: [value('y', 'FP32', ['batch', 4])],
    }),
  );
}

const branch = (name: string) =>
  graphAttribute(name, {
    name,
    node: [node('Neg', ['x'], [name])],
    output: [value(name, 'FP32', ['batch', 4])],
  });
const ifOn = (condition: string) =>
  node('If', [condition], ['y'], { attribute: [branch('then_branch'), branch('else_branch')] });

/** Carries `x` for `count` iterations, as long as `goesOn` is true. */
const loop = (count: string, goesOn: NodeProto) =>
  node('Loop', [count, 'true', 'x'], ['y'], {
    attribute: [
      graphAttribute('body', {
        name: 'body',
        node: [goesOn, node('Neg', ['carried'], ['next'])],
        input: [value('round', 'INT64', []), value('on', 'BOOL', []), value('carried', 'FP32', ['batch', 4])],
        output: [value('still', 'BOOL', []), value('next', 'FP32', ['batch', 4])],
      }),
    ],
  });
const always = node('Identity', ['on'], ['still']);

describe('findValueDependentBranch()', () => {
  it.each<[string, ReturnType<typeof buildModel>, string | undefined]>([
    ['a plain graph', buildModel([node('Neg', ['x'], ['y'])]), undefined],
    [
      'an If on the largest value',
      buildModel([
        node('ReduceMax', ['x'], ['most']),
        node('Cast', ['most'], ['any'], { attribute: [{ name: 'to', type: attributeTypes.INT, i: 9n }] }),
        ifOn('any'),
      ]),
      'If',
    ],
    [
      'an If on the shape, as exporters write them',
      buildModel(
        [
          node('Shape', ['x'], ['shape']),
          node('Gather', ['shape', 'one'], ['columns']),
          node('Equal', ['columns', 'one'], ['narrow']),
          ifOn('narrow'),
        ],
        [constant('one', 1n)],
      ),
      undefined,
    ],
    [
      'a Loop of as many rounds as an input says',
      buildModel([loop('n', always)], [constant('true', 1n, tensorTypes.BOOL)]),
      'Loop',
    ],
    [
      'a Loop of a constant number of rounds',
      buildModel([loop('ten', always)], [constant('true', 1n, tensorTypes.BOOL), constant('ten', 10n)]),
      undefined,
    ],
    [
      'a Loop that what it carries ends',
      buildModel(
        [
          loop(
            'ten',
            node('Cast', ['carried'], ['still'], {
              attribute: [{ name: 'to', type: attributeTypes.INT, i: 9n }],
            }),
          ),
        ],
        [constant('true', 1n, tensorTypes.BOOL), constant('ten', 10n)],
      ),
      'Loop',
    ],
  ])('of %s', (_, graph, expected) => {
    expect(findValueDependentBranch(graph)).toBe(expected);
  });
});
