import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isEdgewiseError } from '../../../src/errors.ts';
import { encodeInferRequest, parseInferResponse } from '../../../src/protocol/oip/infer-client.ts';
import { parseInferRequest } from '../../../src/protocol/oip/infer-request.ts';
import { fixedDataTypes } from '../../../src/tensor/datatype.ts';
import { tensors } from './arbitrary.ts';

const callersFault = ['invalid_request', 'shape_mismatch', 'unsupported_datatype', 'too_large'];
const models = [
  { inputs: [], maxBatchSize: 0 },
  { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }], maxBatchSize: 0 },
  { inputs: [{ name: 'x', datatype: 'BYTES', shape: [-1, 1] }], maxBatchSize: 4 },
] as const;

function throwsOnly(codes: readonly string[], parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    expect(codes).toContain(error.code);
    expect(error.message.length).toBeLessThan(1000);
  }
}

function survives(body: Uint8Array, headerLength: string | undefined): void {
  for (const model of models) {
    throwsOnly(callersFault, () => parseInferRequest(body, { headerLength, model }));
  }
  throwsOnly(['origin_unavailable'], () => parseInferResponse(body, { headerLength }));
}

const headerLengths = fc.option(fc.oneof(fc.nat(400).map(String), fc.string()), { nil: undefined });
const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'cut', 'insert')), {
  maxLength: 6,
});

function mutate(bytes: Uint8Array, changes: readonly (readonly [number, number, string])[]): Uint8Array {
  const list = [...bytes];
  for (const [position, byte, kind] of changes) {
    const at = position % (list.length + 1);
    if (kind === 'set') list[at] = byte;
    else if (kind === 'cut') list.splice(at, byte % 8);
    else list.splice(at, 0, byte);
  }
  return Uint8Array.from(list);
}

it('parsing throws only EdgewiseError for random bytes with random headers', () => {
  fc.assert(fc.property(fc.uint8Array(), headerLengths, survives), { numRuns: 1000 });
});

it('parsing throws only EdgewiseError for valid requests with bytes changed, removed and inserted', () => {
  fc.assert(
    fc.property(
      tensors([...fixedDataTypes, 'BYTES']),
      edits,
      headerLengths,
      fc.boolean(),
      (tensor, changes, other, keep) => {
        const { body, headerLength } = encodeInferRequest({
          inputs: new Map([['x', tensor]]),
          parameters: { timeout: 5 },
          outputs: [{ name: 'y', binary: true }],
          binaryInput: true,
          binaryOutput: true,
        });
        survives(mutate(body, changes), keep ? headerLength : other);
      },
    ),
    { numRuns: 1000 },
  );
});

/** Objects with the protocol's keys and values of any kind. */
const { entry: protocolLike } = fc.letrec((tie) => {
  const leaf = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(...fixedDataTypes, 'BYTES', 'x', 2 ** 40, 2 ** 53, -1, 1e300),
  );
  const value = fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('value'), { maxLength: 4 }), tie('entry'));
  const keys = [
    'inputs',
    'outputs',
    'name',
    'shape',
    'datatype',
    'data',
    'parameters',
    'id',
    'binary_data_size',
  ];
  const entry = fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 6 });
  return { value, entry };
});

it("parsing throws only EdgewiseError for objects made of the protocol's keys", () => {
  const tensorLike = fc.record({
    name: fc.constantFrom('x', 'y'),
    datatype: fc.constantFrom(...fixedDataTypes, 'BYTES'),
    shape: fc.oneof(fc.array(fc.integer({ min: -2, max: 3 }), { maxLength: 3 }), fc.jsonValue()),
    data: fc.oneof(fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 4 }), fc.jsonValue()),
  });
  const body = fc.oneof(protocolLike, fc.record({ inputs: fc.array(tensorLike, { maxLength: 3 }) }));
  fc.assert(
    fc.property(body, headerLengths, (value, headerLength) => {
      survives(new TextEncoder().encode(JSON.stringify(value)), headerLength);
      survives(new TextEncoder().encode(JSON.stringify(value)), undefined);
    }),
    { numRuns: 1000 },
  );
});
