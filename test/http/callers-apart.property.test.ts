/** Whatever a model is made of: a caller at an origin gets what its request alone would get. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import type { Feeds } from '../../src/engine/types.ts';
import { parseInferResponse } from '../../src/protocol/oip/infer-client.ts';
import { headerLengthName } from '../../src/protocol/oip/types.ts';
import { findDifference } from '../../src/tensor/compare.ts';
import { feeds, fp32 } from '../engine/contract.ts';
import { binaryRequest } from '../support/binary-request.ts';
import { measureGraph } from '../support/measured-answers.ts';
import { layers, mixers, type RowModel, rowModel, width } from '../support/row-models.ts';
import { publishTiny, type TestService, testService } from '../support/services.ts';

const maxBatchSize = 16;
const rowLayers = fc.array(fc.constantFrom(...layers), { minLength: 1, maxLength: 4 });
const mixer = fc.record({ kind: fc.constantFrom(...mixers), after: fc.integer({ min: 0, max: 4 }) });
const models = (mixed: boolean): fc.Arbitrary<RowModel> =>
  fc.record({
    layers: rowLayers,
    mixer: mixed ? mixer : fc.constant(undefined),
    twoOutputs: fc.boolean(),
    seed: fc.nat({ max: 100 }),
  });
/** One caller each: rows of numbers. */
const callers = fc.array(
  fc.array(fc.array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: width, maxLength: width }), {
    minLength: 1,
    maxLength: 4,
  }),
  { minLength: 8, maxLength: 14 },
);

const native = createOrtNodeEngine({ threads: 1 });

/** All callers at once, to an origin that waits for company. */
async function askTogether(graph: Uint8Array<ArrayBuffer>, rowWise: boolean, all: readonly Feeds[]) {
  const origin = await testService({ tier: 'origin', engine: createOrtNodeEngine({ threads: 1 }) });
  const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, width] });
  const outputs = (await native.createSession({ graph })).outputs.map(({ name }) => spec(name));
  await publishTiny(
    origin,
    graph,
    {
      name: 'm',
      inputs: [spec('x')],
      outputs,
      maxBatchSize,
      dynamicBatching: { maxQueueDelayMicroseconds: 2000, preferredBatchSizes: [8] },
      rowWise,
    },
    ['stable'],
  );
  const answers = await Promise.all(all.map((given) => ask(origin, given)));
  const sizes = origin.services.batcher?.snapshot().models[0]?.lastBatchSizes ?? [];
  return { answers, mostRows: Math.max(...sizes) };
}

async function ask({ fetch }: TestService, given: Feeds) {
  const x = given.get('x') ?? expect.fail('no input');
  const answer = await fetch(
    '/v2/models/m/infer',
    binaryRequest('x', x.shape, Float32Array.from(x.data, Number)),
  );
  expect(answer.status).toBe(200);
  const headerLength = answer.headers.get(headerLengthName) ?? undefined;
  return parseInferResponse(new Uint8Array(await answer.arrayBuffer()), { headerLength }).outputs;
}

describe('callers of one model at an origin', () => {
  it.each([
    { what: 'that keeps rows apart', mixed: false, numRuns: 25 },
    { what: 'that mixes rows', mixed: true, numRuns: 60 },
  ])(
    'each get what their request alone gets, of a model $what',
    { timeout: 120_000 },
    async ({ mixed, numRuns }) => {
      let shared = 0;
      await fc.assert(
        fc.asyncProperty(models(mixed), callers, async (shape, rows) => {
          const graph = rowModel(shape);
          const { rowWise } = await measureGraph(graph);
          const all = rows.map((each) => feeds({ x: fp32([each.length, width], each.flat()) }));
          const { answers, mostRows } = await askTogether(graph, rowWise, all);
          const session = await native.createSession({ graph });
          for (const [index, given] of all.entries()) {
            expect(findDifference(await session.run(given), answers[index] ?? new Map())).toBeUndefined();
          }
          await session.release();
          if (mostRows > Math.max(...rows.map(({ length }) => length))) shared += 1;
          expect(rowWise).toBe(!mixed);
        }),
        { numRuns },
      );
      expect(shared).toBe(mixed ? 0 : numRuns);
    },
  );
});
