import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalTensors, maxInlineBytes } from '../../../src/governance/receipt/canonical-tensors.ts';
import { encodeInferRequest, parseInferResponse } from '../../../src/protocol/oip/infer-client.ts';
import { parseInferRequest } from '../../../src/protocol/oip/infer-request.ts';
import { encodeInferResponse } from '../../../src/protocol/oip/infer-response.ts';
import { fixedDataTypes } from '../../../src/tensor/datatype.ts';
import type { NamedTensors, Tensor } from '../../../src/tensor/tensor.ts';
import { jsonDataTypes, tensors } from '../../protocol/oip/arbitrary.ts';

const nothing = new Uint8Array(0);
const canonical = async (set: NamedTensors): Promise<Uint8Array> => canonicalTensors(set, nothing);
const one = (tensor: Tensor): NamedTensors => new Map([['x', tensor]]);

function sets(datatypes: Parameters<typeof tensors>[0]): fc.Arbitrary<Map<string, Tensor>> {
  const entry = fc.tuple(fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }), tensors(datatypes));
  return fc.uniqueArray(entry, { maxLength: 4, selector: ([name]) => name }).map((all) => new Map(all));
}

const jsonSets = sets(jsonDataTypes);
const anySets = sets([...fixedDataTypes, 'BYTES']);

/** The form as specified, built with Node's Buffer. */
function specified(set: NamedTensors): Buffer {
  const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
  const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
  const framed = (text: string) => Buffer.concat([u32(Buffer.byteLength(text)), Buffer.from(text)]);
  const sorted = [...set].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return Buffer.concat([
    u32(sorted.length),
    ...sorted.flatMap(([name, { datatype, shape, ...tensor }]) => {
      const data =
        'buffer' in tensor.data
          ? Buffer.from(new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength))
          : Buffer.concat(tensor.data.map(framed));
      return [framed(name), framed(datatype), u32(shape.length), ...shape.map(u64), u64(data.length), data];
    }),
  ]);
}

describe('canonicalTensors()', () => {
  it('returns the specified form', async () => {
    await fc.assert(
      fc.asyncProperty(sets(jsonDataTypes.filter((type) => !type.startsWith('FP'))), async (set) => {
        expect(Buffer.from(await canonical(set))).toEqual(specified(set));
      }),
    );
  });

  it('returns the published bytes', async () => {
    const set = one({ datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, -0) });
    expect(Buffer.from(await canonical(set)).toString('hex')).toBe(
      '01000000' +
        '0100000078' +
        '0400000046503332' +
        '0200000001000000000000000200000000000000' +
        '0800000000000000' +
        '0000803f00000080',
    );
  });

  it('starts with the prefix', async () => {
    const set = one({ datatype: 'INT8', shape: [1], data: Int8Array.of(-1) });
    const bytes = await canonicalTensors(set, Uint8Array.of(7, 8, 9));
    expect([...bytes.subarray(0, 3)]).toEqual([7, 8, 9]);
    expect(bytes.subarray(3)).toEqual(await canonical(set));
  });

  it('is the same for a request in JSON and in binary', async () => {
    await fc.assert(
      fc.asyncProperty(jsonSets, async (inputs) => {
        const forms = [true, false].map((binaryInput) => {
          const { body, headerLength } = encodeInferRequest({ inputs, binaryInput, binaryOutput: false });
          return parseInferRequest(body, { headerLength, model: { inputs: [], maxBatchSize: 0 } }).inputs;
        });
        for (const form of forms) expect(await canonical(form)).toEqual(await canonical(inputs));
      }),
      { numRuns: 400 },
    );
  });

  it('is the same for an answer in JSON and in binary', async () => {
    await fc.assert(
      fc.asyncProperty(jsonSets, async (outputs) => {
        const forms = [true, false].map((binaryOutput) => {
          const { body, headerLength } = encodeInferResponse({
            modelName: 'm',
            modelVersion: '1',
            outputs,
            binaryOutput,
            batched: false,
          });
          return parseInferResponse(body, { headerLength }).outputs;
        });
        for (const form of forms) expect(await canonical(form)).toEqual(await canonical(outputs));
      }),
      { numRuns: 400 },
    );
  });

  it('is equal for any order of the tensors, and different if anything else differs', async () => {
    await fc.assert(
      fc.asyncProperty(anySets, anySets, async (set, other) => {
        const reversed = new Map([...set].reverse());
        expect(await canonical(reversed)).toEqual(await canonical(set));
        const same = Buffer.from(await canonical(set)).equals(await canonical(other));
        expect(same).toBe(specified(set).equals(specified(other)));
      }),
    );
  });

  it('orders names by code points, not by UTF-16 units', async () => {
    const tensor: Tensor = { datatype: 'INT8', shape: [], data: Int8Array.of(1) };
    const bytes = Buffer.from(
      await canonical(
        new Map([
          ['😀', tensor],
          ['～', tensor],
        ]),
      ),
    );
    expect(bytes.indexOf('～')).toBeLessThan(bytes.indexOf('😀'));
  });

  it('encodes names and their lengths in UTF-8', async () => {
    for (const name of ['\u007f', '\u0080', 'é', '～', '😀', 'aé']) {
      const set = new Map<string, Tensor>([[name, { datatype: 'INT8', shape: [], data: Int8Array.of(1) }]]);
      expect(Buffer.from(await canonical(set)), name).toEqual(specified(set));
    }
  });

  it('accepts tensors that are views into larger memory, at any offset', async () => {
    const data = new Float32Array(new Float32Array([9, 1, 2, 9]).buffer, 4, 2);
    expect(await canonical(one({ datatype: 'FP32', shape: [2], data }))).toEqual(
      await canonical(one({ datatype: 'FP32', shape: [2], data: Float32Array.of(1, 2) })),
    );
  });

  it('replaces only long data by its digest', async () => {
    for (const length of [maxInlineBytes, maxInlineBytes + 1]) {
      const data = new Uint8Array(length).map((_, index) => index);
      const bytes = await canonical(one({ datatype: 'UINT8', shape: [length], data }));
      const tail = length > maxInlineBytes ? createHash('sha256').update(data).digest() : Buffer.from(data);
      expect(Buffer.from(bytes.subarray(-tail.length)).equals(tail)).toBe(true);
      expect(bytes.length).toBe(4 + 5 + 9 + 12 + 8 + tail.length);
    }
  });

  it('replaces long strings by the digest of their binary form', async () => {
    const data = ['é'.repeat(maxInlineBytes), 'x'];
    const bytes = await canonical(one({ datatype: 'BYTES', shape: [2], data }));
    const block = specified(one({ datatype: 'BYTES', shape: [2], data })).subarray(-(2 * maxInlineBytes + 9));
    expect(Buffer.from(bytes.subarray(-32))).toEqual(createHash('sha256').update(block).digest());
  });
});

describe('NaN in canonicalTensors()', () => {
  const fp32 = (...bits: number[]): Tensor => ({
    datatype: 'FP32',
    shape: [bits.length],
    data: new Float32Array(Uint32Array.from(bits).buffer),
  });
  const fp64 = (...bits: bigint[]): Tensor => ({
    datatype: 'FP64',
    shape: [bits.length],
    data: new Float64Array(BigUint64Array.from(bits).buffer),
  });
  const fp16 = (...bits: number[]): Tensor => ({
    datatype: 'FP16',
    shape: [bits.length],
    data: Uint16Array.from(bits),
  });

  it.each([
    ['FP32', fp32(0x3f800000, 0xffc00001, 0x7f800001), fp32(0x3f800000, 0x7fc00000, 0x7fc00000)],
    [
      'FP64',
      fp64(0x3ff0000000000000n, 0xfff8000000000001n, 0x7ff0000000000001n),
      fp64(0x3ff0000000000000n, 0x7ff8000000000000n, 0x7ff8000000000000n),
    ],
    ['FP16', fp16(0x3c00, 0xfe01, 0x7c01), fp16(0x3c00, 0x7e00, 0x7e00)],
  ])('has one bit pattern: %s', async (_, original, expected) => {
    const bytes = await canonical(one(original));
    expect(Buffer.from(bytes)).toEqual(specified(one(expected)));
  });

  it('does not change the tensor of the caller', async () => {
    const tensor = fp32(0xffc00001);
    await canonical(one(tensor));
    expect(specified(one(tensor))).toEqual(specified(one(fp32(0xffc00001))));
  });

  it('is found among infinities of both signs, which are kept', async () => {
    const infinities = fp32(0x7f800000, 0xff800000, 0x3f800000, 0x3f800000, 0x3f800000);
    expect(Buffer.from(await canonical(one(infinities)))).toEqual(specified(one(infinities)));
    const withNan = await canonical(one(fp32(0x7f800000, 0xff800000, 0, 0, 0x7fc00009)));
    expect(Buffer.from(withNan)).toEqual(specified(one(fp32(0x7f800000, 0xff800000, 0, 0, 0x7fc00000))));
  });

  it('is found at every position', async () => {
    for (let length = 1; length < 12; length += 1) {
      for (let place = 0; place < length; place += 1) {
        const bits = Array.from({ length }, (_, index) => (index === place ? 0x7fc12345 : 0x3f800000));
        const expected = bits.map((value) => (value === 0x7fc12345 ? 0x7fc00000 : value));
        expect(Buffer.from(await canonical(one(fp32(...bits))))).toEqual(specified(one(fp32(...expected))));
      }
    }
  });

  it('does not change numbers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.float({ noNaN: true }), { maxLength: 40 }), async (values) => {
        const tensor: Tensor = { datatype: 'FP32', shape: [values.length], data: Float32Array.from(values) };
        expect(Buffer.from(await canonical(one(tensor)))).toEqual(specified(one(tensor)));
      }),
    );
  });

  it('writes every true of BOOL as 1', async () => {
    const original: Tensor = { datatype: 'BOOL', shape: [3], data: Uint8Array.of(0, 255, 1) };
    const expected: Tensor = { datatype: 'BOOL', shape: [3], data: Uint8Array.of(0, 1, 1) };
    expect(await canonical(one(original))).toEqual(await canonical(one(expected)));
  });
});
