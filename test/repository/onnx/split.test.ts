import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createOrtNodeEngine } from '../../../src/engine/ort-node.ts';
import { createOrtWasmEngine } from '../../../src/engine/ort-wasm.ts';
import { loadNodeBuild } from '../../../src/engine/ort-wasm-node.ts';
import type { Feeds, ModelSource } from '../../../src/engine/types.ts';
import { chunkLimits, planChunks } from '../../../src/repository/onnx/chunk-plan.ts';
import { hoistInitializers } from '../../../src/repository/onnx/hoist.ts';
import {
  decodeModel,
  encodeModel,
  type ModelProto,
  type TensorProto,
  tensorTypes,
} from '../../../src/repository/onnx/proto.ts';
import {
  joinModel,
  minExternalBytes,
  type SplitModel,
  splitModel,
  weightBytes,
  weightSource,
} from '../../../src/repository/onnx/split.ts';
import { rawBytes } from '../../../src/repository/onnx/tensor-data.ts';
import { findDifference } from '../../../src/tensor/compare.ts';
import { branches, floats, matMul, model, value } from './models.ts';

async function weightsOf({ weights }: SplitModel): Promise<Uint8Array<ArrayBuffer>> {
  return weights === undefined ? new Uint8Array(0) : weightBytes(weights);
}

function sourceOf({ graph, weights }: SplitModel): ModelSource {
  return { graph, ...(weights && { weights: weightSource(weights) }) };
}

describe('planChunks()', () => {
  const sizes = fc.array(
    fc.oneof(
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 1, max: 60_000 }),
    ),
    { maxLength: 60 },
  );
  const limits = { maxChunkBytes: 8192, minOwnChunkBytes: 1024, maxPackBytes: 2048, alignmentBytes: 64 };

  it('covers the file without gaps, and puts each initializer into chunks of its own or into one pack', () => {
    fc.assert(
      fc.property(sizes, (sizes) => {
        const { offsets, chunks, byteLength } = planChunks(sizes, limits);
        let end = 0;
        for (const chunk of chunks) {
          expect(chunk.offset).toBe(end);
          expect(chunk.byteLength).toBeGreaterThan(0);
          expect(chunk.byteLength).toBeLessThanOrEqual(limits.maxChunkBytes);
          end += chunk.byteLength;
        }
        expect(end).toBe(byteLength);

        const ranges = sizes.map((size, index) => ({ begin: offsets[index] ?? -1, size }));
        for (const { begin, size } of ranges) {
          expect(begin % limits.alignmentBytes).toBe(0);
          const touched = chunks.filter(
            (chunk) => chunk.offset < begin + size && chunk.offset + chunk.byteLength > begin,
          );
          const others = ranges.filter(
            (other) =>
              other.begin !== begin &&
              touched.some(
                (chunk) => other.begin >= chunk.offset && other.begin < chunk.offset + chunk.byteLength,
              ),
          );
          if (size >= limits.minOwnChunkBytes) {
            expect(touched[0]?.offset).toBe(begin);
            expect(others).toEqual([]);
          } else {
            expect(touched).toHaveLength(1);
            expect(touched[0]?.byteLength).toBeLessThanOrEqual(limits.maxPackBytes);
            expect(others.every((other) => other.size < limits.minOwnChunkBytes)).toBe(true);
          }
        }
        const sorted = ranges.toSorted((a, b) => a.begin - b.begin);
        for (const [index, { begin, size }] of sorted.entries()) {
          expect(begin + size).toBeLessThanOrEqual(sorted[index + 1]?.begin ?? byteLength);
        }
      }),
    );
  });

  it('cuts 20 MiB into chunks of at most 8', () => {
    expect(planChunks([20 * 2 ** 20]).chunks.map(({ byteLength }) => byteLength / 2 ** 20)).toEqual([
      8, 8, 4,
    ]);
  });
});

describe('splitModel()', () => {
  const tensors = fc.array(
    fc.oneof(
      fc.integer({ min: 0, max: 4000 }).map((count) => floats('', [count])),
      fc
        .float32Array({ maxLength: 600 })
        .map((data) => ({ dims: [BigInt(data.length)], dataType: tensorTypes.FLOAT, floatData: data })),
      fc
        .bigInt64Array({ maxLength: 300 })
        .map((data) => ({ dims: [BigInt(data.length)], dataType: tensorTypes.INT64, int64Data: data })),
      fc
        .int32Array({ minLength: 1, maxLength: 1500, min: -128, max: 127 })
        .map((data) => ({ dims: [BigInt(data.length)], dataType: tensorTypes.INT8, int32Data: data })),
      fc.constant({
        dims: [2n],
        dataType: tensorTypes.STRING,
        stringData: [new Uint8Array(2000), new Uint8Array(3)],
      }),
    ),
    { minLength: 1, maxLength: 12 },
  );

  it('moves tensors of 1 KiB and more, and joinModel() restores every tensor', async () => {
    await fc.assert(
      fc.asyncProperty(tensors, async (tensors) => {
        const initializer = tensors.map((tensor, index) => ({ ...tensor, name: `t${index}` }));
        const split = await splitModel(model({ initializer, output: [value('t0', [1])] }));
        const graph = decodeModel(split.graph).graph;
        expect(graph?.initializer).toHaveLength(initializer.length);
        for (const [index, tensor] of (graph?.initializer ?? []).entries()) {
          const bytes = rawBytes(initializer[index] ?? {});
          expect(tensor.externalData !== undefined).toBe(
            bytes !== undefined && bytes.byteLength >= minExternalBytes,
          );
        }
        const joined = decodeModel(joinModel(split.graph, await weightsOf(split)));
        expect(joined.graph?.initializer).toHaveLength(initializer.length);
        for (const [index, tensor] of (joined.graph?.initializer ?? []).entries()) {
          const expected: TensorProto = initializer[index] ?? {};
          expect(tensor.dims).toEqual(expected.dims);
          expect(Buffer.from(rawBytes(tensor) ?? [])).toEqual(Buffer.from(rawBytes(expected) ?? []));
          expect(tensor.stringData).toEqual(expected.stringData);
        }
      }),
    );
  });

  it('writes the low bytes of narrow types that are stored in wider integers', async () => {
    const int32Data = Int32Array.from({ length: 600 }, (_, index) => 0x3c00 + index);
    const tensor = { name: 'h', dims: [600n], dataType: tensorTypes.FLOAT16, int32Data };
    const bytes = await weightsOf(await splitModel(model({ initializer: [tensor] })));
    expect(new Uint16Array(bytes.slice(0, 1200).buffer)).toEqual(Uint16Array.from(int32Data));
  });

  it('leaves a small model whole', async () => {
    const small = matMul(2, 3);
    expect(await splitModel(small)).toEqual({ graph: encodeModel(small) });
  });

  it('packs the small weights of a real model', async () => {
    const file = readFileSync('node_modules/@ricky0123/vad-web/dist/silero_vad_legacy.onnx');
    const split = await splitModel(decodeModel(file));
    expect(split.graph.byteLength).toBeLessThan(60_000);
    expect(split.weights?.pieces.length).toBeGreaterThan(0);
    for (const { byteLength } of split.weights?.pieces ?? []) {
      expect(byteLength).toBeLessThanOrEqual(chunkLimits.maxPackBytes);
    }
  });
});

describe('hoistInitializers()', () => {
  const size = 24;
  const feeds = (first: number, second: number): Feeds =>
    new Map([
      [
        'x',
        {
          datatype: 'FP32',
          shape: [2, size],
          data: Float32Array.from({ length: 2 * size }, (_, index) => Math.cos(index)),
        },
      ],
      ['first', { datatype: 'BOOL', shape: [], data: Uint8Array.of(first) }],
      ['second', { datatype: 'BOOL', shape: [], data: Uint8Array.of(second) }],
    ]);

  it('renames weights of the same name in different branches', () => {
    const hoisted = hoistInitializers(branches(size), minExternalBytes);
    expect(hoisted.graph?.initializer?.map(({ name }) => name)).toEqual(['outer/w', 'outer2/w', 'outer/v']);
  });

  it('changes no answer of any branch, whole in native ONNX Runtime or split in WASM', async () => {
    const source: ModelProto = branches(size);
    const native = await createOrtNodeEngine().createSession({ graph: encodeModel(source) });
    const split = await splitModel(source);
    expect(split.weights?.byteLength).toBe(3 * size * size * 4);
    const edge = await createOrtWasmEngine({ build: await loadNodeBuild() }).createSession(sourceOf(split));
    const answers = new Set<string>();
    for (const [first, second] of [
      [1, 0],
      [0, 1],
      [0, 0],
    ] as const) {
      const expected = await native.run(feeds(first, second));
      expect(findDifference(expected, await edge.run(feeds(first, second)))).toBeUndefined();
      answers.add(String(expected.get('y')?.data[0]));
    }
    expect(answers.size).toBe(3);
  });

  it('renames an inner name that hides an outer one, though ONNX forbids such names', () => {
    const inner = {
      name: 'i',
      node: [{ opType: 'Neg', input: ['w'], output: ['z'] }],
      initializer: [floats('w', [300])],
    };
    const other = { name: 'o', node: [{ opType: 'Neg', input: ['w'], output: ['z'] }] };
    const attribute = [inner, other].map((g) => ({ name: g.name, g }));
    const outer = { name: 'b', node: [{ opType: 'If', attribute }], initializer: [floats('w', [400])] };
    const hoisted = hoistInitializers(
      model({ node: [{ opType: 'Loop', attribute: [{ name: 'body', g: outer }] }] }),
      1024,
    );
    const body = hoisted.graph?.node?.[0]?.attribute?.[0]?.g;
    expect(body?.node?.[0]?.attribute?.map(({ g }) => g?.node?.[0]?.input)).toEqual([
      ['outer2/w'],
      ['outer/w'],
    ]);
    expect(hoisted.graph?.initializer?.map(({ name, dims }) => [name, dims])).toEqual([
      ['outer/w', [400n]],
      ['outer2/w', [300n]],
    ]);
  });

  it('keeps a name that is the output of a node in the subgraph', () => {
    const inner = {
      name: 'i',
      node: [
        { opType: 'Neg', input: ['x'], output: ['w'] },
        { opType: 'Neg', input: ['w'], output: ['z'] },
      ],
    };
    const outer = {
      name: 'b',
      node: [{ opType: 'If', attribute: [{ name: 'then_branch', g: inner }] }],
      initializer: [floats('w', [400])],
    };
    const source = model({ node: [{ opType: 'Loop', attribute: [{ name: 'body', g: outer }] }] });
    const body = hoistInitializers(source, 1024).graph?.node?.[0]?.attribute?.[0]?.g;
    expect(body?.node?.[0]?.attribute?.[0]?.g?.node).toEqual(inner.node);
  });

  it('keeps defaults of subgraph inputs, and outputs of subgraphs', () => {
    const inner = {
      name: 'inner',
      input: [value('a', [400])],
      initializer: [floats('a', [400]), floats('b', [400])],
      output: [value('b', [400])],
      node: [],
    };
    const source = model({
      node: [{ opType: 'Loop', output: ['y'], attribute: [{ name: 'body', g: inner }] }],
      output: [value('y', [400])],
    });
    expect(hoistInitializers(source, minExternalBytes)).toEqual(source);
  });
});
