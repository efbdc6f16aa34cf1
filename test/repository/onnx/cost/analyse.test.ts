import { describe, expect, it } from 'vitest';
import { analyseCost } from '../../../../src/repository/onnx/cost/analyse.ts';
import type { ModelProto, NodeProto } from '../../../../src/repository/onnx/proto.ts';
import { tensorTypes } from '../../../../src/repository/onnx/proto.ts';
import { value } from '../models.ts';
import { graph, graphAttribute, intAttribute, loop, loopBody, op } from './graphs.ts';

const cast = (from: string, to: string, type: number = tensorTypes.INT64) =>
  op('Cast', [from], [to], [intAttribute('to', type)]);
const sizes = op('Shape', ['x'], ['sizes']);
const rows = op('Gather', ['sizes', '0'], ['rows']);
const branch = (nodes: readonly NodeProto[]) => ({
  name: 'branch',
  node: nodes,
  output: [value('z', [], tensorTypes.INT64)],
});
const choose = (condition: string, then: readonly NodeProto[], other: readonly NodeProto[]) =>
  op(
    'If',
    [condition],
    ['y'],
    [graphAttribute('then_branch', branch(then)), graphAttribute('else_branch', branch(other))],
  );

/** Name, what the values decide, the inputs that decide it, and the nodes. */
const unboundedCases: [string, string, string[], NodeProto[]][] = [
  ['a trip count', 'the number of iterations', ['n'], [loop('n')]],
  [
    'a trip count made of a value',
    'the number of iterations',
    ['n', 'm'],
    [op('Mul', ['n', 'm'], ['k']), loop('k')],
  ],
  [
    'a trip count with one end',
    'the number of iterations',
    ['n'],
    [op('Max', ['n', '100'], ['k']), loop('k')],
  ],
  ['a trip count from a float', 'the number of iterations', ['f'], [cast('f', 'k'), loop('k')]],
  [
    'no trip count, and a condition on what is carried',
    'the number of iterations',
    ['n'],
    [loop('', loopBody([op('Less', ['state', '100'], ['go'])], { next: 'go' }))],
  ],
  [
    'the largest trip count, and a condition on a captured value',
    'the number of iterations',
    ['m'],
    [loop('forever', loopBody([op('Less', ['iteration', 'm'], ['go'])], { next: 'go' }), 'true', '0')],
  ],
  ['a range', 'the length of the range', ['n'], [op('Range', ['0', 'n', '1'], ['y'])]],
  ['a range from below', 'the length of the range', ['n'], [op('Range', ['n', '0', '1'], ['y'])]],
  [
    'a range with steps as small as they come',
    'the length of the range',
    ['f'],
    [op('Range', ['0.5', '0.5', 'f'], ['y'])],
  ],
  ['a shape', 'the size of the output', ['shape'], [op('ConstantOfShape', ['shape'], ['y'])]],
  ['an expansion', 'the size of the output', ['shape'], [op('Expand', ['x', 'shape'], ['y'])]],
  ['repeats', 'how often the input is repeated', ['shape'], [op('Tile', ['x', 'shape'], ['y'])]],
  ['padding', 'how much is padded', ['shape'], [op('Pad', ['x', 'shape'], ['y'])]],
  ['sizes', 'the scales or sizes', ['shape'], [op('Resize', ['x', '', '', 'shape'], ['y'])]],
  ['scales before opset 11', 'the scales or sizes', ['shape'], [op('Resize', ['x', 'shape'], ['y'])]],
  ['a depth', 'the depth', ['n'], [op('OneHot', ['m', 'n', 'x'], ['y'])]],
  ['a window', 'the size of the output', ['n'], [op('HannWindow', ['n'], ['y'])]],
  ['parts of a text', 'how many parts a text has', ['text'], [op('StringSplit', ['text'], ['y'])]],
  [
    'a cache',
    'the length of the cache',
    ['n'],
    [op('GroupQueryAttention', ['x', '', '', '', '', 'shape', 'n'], ['y'], [], 'com.microsoft')],
  ],
  [
    'generation',
    'how much is generated',
    ['n'],
    [op('GreedySearch', ['shape', 'n'], ['y'], [], 'com.microsoft')],
  ],
  [
    'a sum of values',
    'the size of the output',
    ['shape'],
    [op('ReduceSum', ['shape'], ['k']), op('ConstantOfShape', ['k'], ['y'])],
  ],
  [
    'what an unknown operator gives',
    'the size of the output',
    ['x'],
    [op('Mystery', ['x'], ['k'], [], 'com.example'), op('ConstantOfShape', ['k'], ['y'])],
  ],
  [
    'the shape of what an unknown operator gives',
    'the size of the output',
    ['x'],
    [
      op('Mystery', ['x'], ['k'], [], 'com.example'),
      op('Shape', ['k'], ['s']),
      op('ConstantOfShape', ['s'], ['y']),
    ],
  ],
  [
    'random numbers',
    'the size of the output',
    [],
    [op('RandomUniform', [], ['r']), cast('r', 'k'), op('ConstantOfShape', ['k'], ['y'])],
  ],
  [
    'what ONNX Runtime samples',
    'the size of the output',
    [],
    [op('Sampling', ['[1]', '1'], ['k'], [], 'com.microsoft'), op('ConstantOfShape', ['k'], ['y'])],
  ],
  [
    'a quotient of a fraction',
    'the size of the output',
    ['f', 'byte'],
    [
      cast('byte', 'b', tensorTypes.FLOAT),
      op('Div', ['b', 'f'], ['q']),
      cast('q', 'k'),
      op('ConstantOfShape', ['k'], ['y']),
    ],
  ],
  [
    'a branch',
    'the size of the output',
    ['n'],
    [choose('flag', [op('ConstantOfShape', ['n'], ['z'])], [op('Identity', ['m'], ['z'])])],
  ],
  [
    'a branch that chooses a value',
    'the number of iterations',
    ['n', 'flag'],
    [
      choose('flag', [op('Identity', ['n'], ['z'])], [op('Identity', ['1'], ['z'])]),
      { ...loop('y'), output: ['last'] },
    ],
  ],
  [
    'what a loop carries after some iterations',
    'the size of the output',
    ['m'],
    [
      loop('100', loopBody([op('Max', ['state', 'm'], ['larger'])], { state: 'larger' }), 'true', '0'),
      op('ConstantOfShape', ['y'], ['made']),
    ],
  ],
  [
    'what a loop carries, within it',
    'the size of the output',
    ['m'],
    [
      loop(
        '100',
        loopBody([op('ConstantOfShape', ['state'], ['made']), op('Add', ['state', 'm'], ['more'])], {
          state: 'more',
        }),
        'true',
        '0',
      ),
    ],
  ],
  [
    'an empty tensor of any shape',
    'the size of the output',
    ['x', 'shape'],
    [
      op('Reshape', ['x', 'shape'], ['r'], [intAttribute('allowzero', 1)]),
      op('Shape', ['r'], ['s']),
      op('ConstantOfShape', ['s'], ['y']),
    ],
  ],
  [
    'a body of a scan',
    'the size of the output',
    ['n'],
    [
      op(
        'Scan',
        ['n', 'x'],
        ['y', 'z'],
        [
          graphAttribute('body', {
            name: 'body',
            node: [op('ConstantOfShape', ['state'], ['made']), op('Identity', ['state'], ['next'])],
            input: [value('state', []), value('slice', [])],
            output: [value('next', []), value('made', [])],
          }),
          intAttribute('num_scan_inputs', 1),
        ],
      ),
    ],
  ],
];

const boundedCases: [string, NodeProto[]][] = [
  ['a trip count from a shape', [sizes, rows, loop('rows')]],
  ['a constant trip count', [loop('100')]],
  ['a constant trip count, however large, and no condition', [loop('forever')]],
  [
    'a constant trip count, and a condition on values',
    [loop('100', loopBody([op('Less', ['state', 'm'], ['go'])], { next: 'go' }))],
  ],
  [
    'no trip count, and a condition on the shape',
    [sizes, rows, loop('forever', loopBody([op('Less', ['iteration', 'rows'], ['go'])], { next: 'go' }))],
  ],
  ['a trip count that is the least of a value and a number', [op('Min', ['n', '100'], ['k']), loop('k')]],
  ['a trip count that is clipped', [op('Clip', ['n', '0', '100'], ['k']), loop('k')]],
  ['a remainder', [op('Mod', ['n', '100'], ['k']), op('Range', ['k', '100', '1'], ['y'])]],
  ['a truth value', [cast('flag', 'k'), loop('k')]],
  ['the place of the largest', [op('ArgMax', ['x'], ['k']), op('ConstantOfShape', ['k'], ['y'])]],
  ['a range over a shape', [sizes, rows, op('Range', ['0', 'rows', '1'], ['y'])]],
  ['a range that ends soon', [op('Min', ['n', '100'], ['k']), op('Range', ['0', 'k', '1'], ['y'])]],
  ['a range downwards', [op('Clip', ['n', '0', '100'], ['k']), op('Range', ['100', 'k', '-1'], ['y'])]],
  [
    'a new form of the same elements',
    [op('Reshape', ['x', 'shape'], ['r']), op('Shape', ['r'], ['s']), op('ConstantOfShape', ['s'], ['y'])],
  ],
  [
    'what is not zero',
    [op('NonZero', ['x'], ['z']), op('Shape', ['z'], ['s']), op('ConstantOfShape', ['s'], ['y'])],
  ],
  ['a selection', [op('Compress', ['x', 'flag'], ['y'])]],
  ['what there is once', [op('Unique', ['shape'], ['y'])]],
  ['the largest few', [op('TopK', ['x', 'shape'], ['values', 'y'])]],
  ['boxes that remain', [op('NonMaxSuppression', ['x', 'x', 'n'], ['y'])]],
  ['a slice', [op('Slice', ['x', 'shape', 'shape'], ['y'])]],
  ['what a table says', [op('Gather', ['[1]', 'n'], ['k']), op('ConstantOfShape', ['k'], ['y'])]],
  ['two branches', [choose('flag', [op('Identity', ['n'], ['z'])], [op('Identity', ['m'], ['z'])])]],
  [
    'two branches that choose a size',
    [
      choose('flag', [op('Identity', ['100'], ['z'])], [op('Identity', ['1'], ['z'])]),
      { ...loop('y'), output: ['last'] },
    ],
  ],
  [
    'what a loop collects',
    [
      loop('100', loopBody([op('Concat', ['state', 'x'], ['more'])], { state: 'more' }), 'true', '0'),
      op('Shape', ['y'], ['s']),
      op('ConstantOfShape', ['s'], ['made']),
    ],
  ],
  ['an unknown operator that sizes nothing', [op('Mystery', ['x'], ['y'], [], 'com.example')]],
  ['a region of a resize', [op('Resize', ['x', 'shape', '[1]'], ['y'])]],
];

describe('analyseCost()', () => {
  it.each(unboundedCases)('finds a cost that is unbounded because of %s', (_, decides, inputs, nodes) => {
    const { unbounded } = analyseCost(graph(nodes));
    expect(unbounded).toHaveLength(1);
    expect(unbounded[0]).toMatchObject({ decides, inputs });
  });

  it.each(boundedCases)('finds a bound in %s', (_, nodes) => {
    expect(analyseCost(graph(nodes)).unbounded).toEqual([]);
  });

  it('uses the bounds of values, and names the inputs that drive the cost', () => {
    const nodes = [op('Mul', ['n', 'm'], ['k']), loop('k')];
    expect(analyseCost(graph(nodes), new Set(['n'])).unbounded[0]?.inputs).toEqual(['n', 'm']);
    expect(analyseCost(graph(nodes), new Set(['n', 'm', 'shape']))).toEqual({
      unbounded: [],
      drivers: ['n', 'm'],
    });
  });

  it('names no driver if the shapes alone decide the cost', () => {
    expect(analyseCost(graph([sizes, rows, loop('rows')])).drivers).toEqual([]);
  });

  it('names the node, or its output if the node has no name', () => {
    expect(analyseCost(graph([{ ...loop('n'), name: 'decode' }])).unbounded[0]).toMatchObject({
      operator: 'Loop',
      node: 'decode',
    });
    expect(analyseCost(graph([loop('n')])).unbounded[0]?.node).toBe('y');
  });

  const calling = (nodes: readonly NodeProto[], body: readonly NodeProto[]): ModelProto =>
    graph(nodes, {
      functions: [
        { name: 'Twice', domain: 'own', input: ['a'], output: ['b'], attribute: ['by'], node: body },
      ],
    });

  it('follows a function of the model, and its attributes', () => {
    const body = [op('Identity', ['a'], ['k']), op('ConstantOfShape', ['k'], ['b'])];
    expect(analyseCost(calling([op('Twice', ['n'], ['y'], [], 'own')], body)).unbounded[0]?.inputs).toEqual([
      'n',
    ]);
    expect(analyseCost(calling([op('Twice', ['[1]'], ['y'], [], 'own')], body)).unbounded).toEqual([]);
    const byAttribute = [
      op('Constant', [], ['c'], [{ name: 'value_int', refAttrName: 'by' }]),
      op('Mul', ['a', 'c'], ['k']),
      op('ConstantOfShape', ['k'], ['b']),
    ];
    const call = op('Twice', ['[1]'], ['y'], [intAttribute('by', 3)], 'own');
    expect(analyseCost(calling([call], byAttribute)).unbounded).toEqual([]);
  });

  it('prefers a function of the model to the standard operator of the same name', () => {
    const own = graph([op('Relu', ['n'], ['y'])], {
      functions: [
        {
          name: 'Relu',
          domain: '',
          input: ['a'],
          output: ['b'],
          node: [op('ConstantOfShape', ['a'], ['b'])],
        },
      ],
    });
    expect(analyseCost(own).unbounded).toHaveLength(1);
  });

  it('does not let a function see the names around its call', () => {
    const body = [op('ConstantOfShape', ['[1]'], ['b'])];
    expect(analyseCost(calling([op('Twice', ['n'], ['y'], [], 'own')], body)).unbounded).toHaveLength(1);
  });

  it('terminates on loops nested as deep as a model may nest them', () => {
    let body = loopBody([op('Add', ['state', 'm'], ['more'])], { state: 'more' });
    for (let depth = 0; depth < 14; depth += 1) {
      const inner = op('Loop', ['100', 'true', 'state'], ['inner'], [graphAttribute('body', body)]);
      body = loopBody([inner, op('Max', ['inner', 'n'], ['more'])], { state: 'more' });
    }
    const { unbounded } = analyseCost(
      graph([loop('100', body, 'true', '0'), op('ConstantOfShape', ['y'], ['made'])]),
    );
    expect(unbounded).toMatchObject([{ operator: 'ConstantOfShape', inputs: ['n', 'm'] }]);
  });

  it.each(['constructor', '__proto__', 'toString'])(
    'treats an operator and values named %s like any others',
    (name) => {
      expect(
        analyseCost(graph([op(name, ['x'], [name]), op('ConstantOfShape', [name], ['y'])])).unbounded,
      ).toHaveLength(1);
    },
  );
});
