import { describe, expect, it } from 'vitest';
import { attributeTypes, tensorTypes } from '../../../src/repository/onnx/proto.ts';
import { measureGraph as measure } from '../../support/measured-answers.ts';
import { floats, model, node, value } from '../../support/onnx-models.ts';
import { mixersSeen, rowModel } from '../../support/row-models.ts';

const shapesOf = ({ outputs }: { readonly outputs: readonly { name: string; shape: readonly number[] }[] }) =>
  Object.fromEntries(outputs.map(({ name, shape }) => [name, shape]));

describe('measureAnswers() of a model with a batch dimension', () => {
  it('calls a model row-wise whose rows do not depend on one another, and proposes maxBatchSize', async () => {
    const graph = rowModel({ layers: ['matmul', 'tanh', 'normalise', 'add'], twoOutputs: true });
    const plain = await measure(graph);
    expect(plain.rowWise).toBe(true);
    expect(plain.said).toEqual([expect.stringMatching(/^rows: .*"maxBatchSize": 8/)]);
    const batched = await measure(graph, { maxBatchSize: 16 });
    expect(batched.rowWise).toBe(true);
    expect(batched.said).toEqual(['rows: each row is answered by itself']);
  });

  it.each(mixersSeen)(
    'calls a model with %s not row-wise, and refuses it with maxBatchSize',
    async (kind) => {
      const graph = rowModel({ layers: ['matmul', 'add'], mixer: { kind, after: 2 }, twoOutputs: true });
      expect((await measure(graph)).rowWise).toBe(false);
      await expect(measure(graph, { maxBatchSize: 8 })).rejects.toMatchObject({
        code: 'invalid_request',
        message: expect.stringMatching(/^maxBatchSize of m is 8, .*output "y" .*Set maxBatchSize to 0/),
      });
    },
  );

  it('does not trust samples that all take the same path of an If', async () => {
    const graph = rowModel({ layers: ['matmul'], mixer: { kind: 'branch-on-batch', after: 0 } });
    const { rowWise, said } = await measure(graph, { maxBatchSize: 8 });
    expect(rowWise).toBe(false);
    expect(said).toEqual([expect.stringMatching(/^warning: .*the path of its If depends on values/)]);
  });

  it('tells a row for each token from a row for each request, though a sample has one token', async () => {
    const flattened = (tokens: number | string) =>
      model({
        node: [node('Reshape', ['x', 'shape'], ['y'])],
        initializer: [
          { name: 'shape', dims: [2n], dataType: tensorTypes.INT64, int64Data: BigInt64Array.of(-1n, 4n) },
        ],
        input: [value('x', 'FP32', ['batch', tokens, 4])],
        output: [value('y', 'FP32', ['rows', 4])],
      });
    expect((await measure(flattened(1))).rowWise).toBe(true);
    expect((await measure(flattened('tokens'))).rowWise).toBe(false);
  });

  it('keeps dimensions of the same name equal when it tries other sizes', async () => {
    const graph = model({
      node: [node('Add', ['a', 'b'], ['sum']), node('ReduceSum', ['sum', 'axes'], ['y'])],
      initializer: [
        { name: 'axes', dims: [1n], dataType: tensorTypes.INT64, int64Data: BigInt64Array.of(1n) },
      ],
      input: [value('a', 'FP32', ['batch', 'time']), value('b', 'FP32', ['batch', 'time'])],
      output: [value('y', 'FP32', ['batch', 1])],
    });
    expect(await measure(graph, { sampleShapes: { a: [1, 3], b: [1, 3] } })).toMatchObject({ rowWise: true });
  });

  it('tells token ids apart, and leaves out samples that the model refuses', async () => {
    const embed = (rows: number, reversed: boolean) =>
      model({
        node: [
          node('Gather', ['table', 'ids'], ['embedded']),
          reversed
            ? node('Slice', ['embedded', 'from', 'to', 'axis', 'step'], ['y'])
            : node('Identity', ['embedded'], ['y']),
        ],
        initializer: [
          floats(
            'table',
            [rows, 2],
            Float32Array.from({ length: rows * 2 }, (_, index) => index),
          ),
          ...Object.entries({ from: -1n, to: -1_000_000n, axis: 0n, step: -1n }).map(([name, int]) => ({
            name,
            dims: [1n],
            dataType: tensorTypes.INT64,
            int64Data: BigInt64Array.of(int),
          })),
        ],
        input: [value('ids', 'INT64', ['batch', 'tokens'])],
        output: [value('y', 'FP32', ['batch', 'tokens', 2])],
      });
    for (const vocabulary of [2, 100]) {
      expect((await measure(embed(vocabulary, false))).rowWise).toBe(true);
      expect((await measure(embed(vocabulary, true))).rowWise).toBe(false);
    }
  });

  it('uses the rows of the folder’s samples if the model refuses made-up ones', async () => {
    const ints = (name: string, data: readonly number[]) => ({
      name,
      dims: [BigInt(data.length)],
      dataType: tensorTypes.INT64,
      int64Data: BigInt64Array.from(data, BigInt),
    });
    // The model accepts the ids 50 to 149.
    const picky = (reversed: boolean) =>
      model({
        node: [
          node('Sub', ['ids', 'hundred'], ['index']),
          node('Gather', ['table', 'index'], ['rows']),
          reversed
            ? node('Slice', ['rows', 'from', 'to', 'axis', 'from'], ['y'])
            : node('Identity', ['rows'], ['y']),
        ],
        initializer: [
          floats(
            'table',
            [50, 2],
            Float32Array.from({ length: 100 }, (_, index) => index),
          ),
          ints('hundred', [100]),
          ints('from', [-1]),
          ints('to', [-1_000_000]),
          ints('axis', [0]),
        ],
        input: [value('ids', 'INT64', ['batch', 'tokens'])],
        output: [value('y', 'FP32', ['batch', 'tokens', 2])],
      });
    const sample = (shape: readonly number[], ...ids: readonly number[]) =>
      new Map([['ids', { datatype: 'INT64' as const, shape, data: BigInt64Array.from(ids, BigInt) }]]);
    const samples = [sample([2, 2], 60, 61, 70, 71), sample([1, 2], 80, 81), sample([1, 3], 90, 91, 92)];
    expect((await measure(picky(false), { maxBatchSize: 4 })).said).toEqual([
      expect.stringMatching(/^warning: it was not shown/),
    ]);
    expect((await measure(picky(false), { maxBatchSize: 4 }, samples)).rowWise).toBe(true);
    expect((await measure(picky(true), {}, samples)).rowWise).toBe(false);
  });

  it('compares by the agreement of the config', async () => {
    const quantised = rowModel({ layers: ['add'], mixer: { kind: 'scale-of-batch', after: 1 } });
    expect((await measure(quantised)).rowWise).toBe(false);
    // The step of eight bits over -50 to 50 is 0.4.
    const agreement = { '*': { values: { relative: 0, absolute: 0.8 } } };
    expect((await measure(quantised, { agreement })).rowWise).toBe(true);
  });

  it('reports an output that never changes, which shows nothing', async () => {
    const graph = model({
      node: [node('Mul', ['x', 'zero'], ['y']), node('Identity', ['x'], ['z'])],
      initializer: [floats('zero', [], new Float32Array([0]))],
      input: [value('x', 'FP32', ['batch', 4])],
      output: [value('y', 'FP32', ['batch', 4]), value('z', 'FP32', ['batch', 4])],
    });
    const { rowWise, said } = await measure(graph, { maxBatchSize: 4 });
    expect(rowWise).toBe(false);
    expect(said).toEqual([
      expect.stringMatching(/^warning: .*output "y" is the same for all .* never run together/),
    ]);
  });

  it('never lets a model be batched that draws random numbers', async () => {
    const dice = model({
      node: [node('RandomUniformLike', ['x'], ['noise']), node('Add', ['x', 'noise'], ['y'])],
      input: [value('x', 'FP32', ['batch', 4])],
      output: [value('y', 'FP32', ['batch', 4])],
    });
    const { rowWise, said } = await measure(dice, { maxBatchSize: 4 });
    expect(rowWise).toBe(false);
    expect(said).toEqual([expect.stringMatching(/^warning: .*draws random numbers/)]);
  });

  it('refuses maxBatchSize for a model that accepts one row only', async () => {
    const graph = model({
      node: [node('Reshape', ['x', 'shape'], ['y'])],
      initializer: [
        { name: 'shape', dims: [2n], dataType: tensorTypes.INT64, int64Data: BigInt64Array.of(1n, 4n) },
      ],
      input: [value('x', 'FP32', ['batch', 4])],
      output: [value('y', 'FP32', ['batch', 4])],
    });
    await expect(measure(graph, { maxBatchSize: 4 })).rejects.toThrow(
      /2 rows that it accepts one by one are refused together/,
    );
    expect((await measure(graph, { maxBatchSize: 1 })).rowWise).toBe(false);
  });
});

describe('measureAnswers() of a model without a batch dimension', () => {
  it('never lets it be batched', async () => {
    const stateful = model({
      node: [node('Add', ['x', 'rate'], ['y']), node('Identity', ['state'], ['next'])],
      input: [
        value('x', 'FP32', ['batch', 4]),
        value('state', 'FP32', [2, 'batch', 3]),
        value('rate', 'FP32', []),
      ],
      output: [value('y', 'FP32', ['batch', 4]), value('next', 'FP32', [2, 'batch', 3])],
    });
    const { rowWise, said, ...answers } = await measure(stateful);
    expect([rowWise, said]).toEqual([false, []]);
    expect(shapesOf(answers)).toEqual({ y: [-1, 4], next: [2, -1, 3] });
  });

  it('keeps the declared shapes, with a warning, if this machine cannot run it', async () => {
    const unknown = model({
      node: [node('Nonesuch', ['x'], ['y'])],
      input: [value('x', 'FP32', ['batch', 4])],
      output: [value('y', 'FP32', ['batch', 2])],
    });
    const { rowWise, said, ...answers } = await measure(unknown, { maxBatchSize: 4 });
    expect(rowWise).toBe(false);
    expect(shapesOf(answers)).toEqual({ y: [-1, 2] });
    expect(said).toEqual([
      expect.stringMatching(/^warning: this machine cannot run the published model/),
      expect.stringMatching(/^warning: .*never run together/),
    ]);
  });
});

describe('measureAnswers() of outputs with wrong declarations', () => {
  it('returns the shapes of the runtime, with free dimensions where they vary', async () => {
    // As exporters write it: a label for the whole batch, a Reshape target, a list with a fixed length.
    const graph = model({
      node: [
        node('ArgMax', ['x'], ['label'], {
          attribute: [
            { name: 'axis', type: attributeTypes.INT, i: 1n },
            { name: 'keepdims', type: attributeTypes.INT, i: 0n },
          ],
        }),
        node('Reshape', ['x', 'pairs'], ['pairsOfRow']),
        node('NonZero', ['x'], ['places']),
        node('Identity', ['x'], ['scores']),
      ],
      initializer: [
        { name: 'pairs', dims: [3n], dataType: tensorTypes.INT64, int64Data: BigInt64Array.of(0n, 2n, 2n) },
      ],
      input: [value('x', 'FP32', ['batch', 4])],
      output: [
        value('label', 'INT64', [1]),
        value('pairsOfRow', 'FP32', ['batch', 4]),
        value('places', 'INT64', [2, 7]),
        value('scores', 'FP32', ['batch', 4]),
      ],
    });
    const { said, ...answers } = await measure(graph);
    expect(shapesOf(answers)).toEqual({
      label: [-1],
      pairsOfRow: [-1, 2, 2],
      places: [2, -1],
      scores: [-1, 4],
    });
    expect(said.map((line) => /output "(\w+)" as (\S+),.*published as (\S+)$/.exec(line)?.slice(1))).toEqual([
      ['label', '[1]', '[-1]'],
      ['pairsOfRow', '[-1,4]', '[-1,2,2]'],
      ['places', '[2,7]', '[2,-1]'],
    ]);
  });

  it('keeps declarations that no run contradicts', async () => {
    const graph = rowModel({ layers: ['matmul'], twoOutputs: true });
    expect(shapesOf(await measure(graph))).toEqual({ y: [-1, 4], h: [-1, 4] });
  });
});
