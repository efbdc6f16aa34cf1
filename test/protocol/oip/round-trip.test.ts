import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeInferRequest, parseInferResponse } from '../../../src/protocol/oip/infer-client.ts';
import { parseInferRequest } from '../../../src/protocol/oip/infer-request.ts';
import { encodeInferResponse } from '../../../src/protocol/oip/infer-response.ts';
import type { InferRequest } from '../../../src/protocol/oip/types.ts';
import { fixedDataTypes } from '../../../src/tensor/datatype.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { jsonDataTypes, tensors } from './arbitrary.ts';

const anyDataTypes = [...fixedDataTypes, 'BYTES'] as const;
const model = { inputs: [], maxBatchSize: 0 };

function tensorMaps(binary: boolean): fc.Arbitrary<ReadonlyMap<string, Tensor>> {
  const entry = fc.tuple(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }),
    tensors(binary ? anyDataTypes : jsonDataTypes),
  );
  return fc
    .uniqueArray(entry, { maxLength: 4, selector: ([name]) => name })
    .map((entries) => new Map(entries));
}

function throughRequest(inputs: ReadonlyMap<string, Tensor>, binaryInput: boolean): InferRequest {
  const { body, headerLength } = encodeInferRequest({
    inputs,
    binaryInput,
    binaryOutput: binaryInput,
    id: 'é"1',
  });
  return parseInferRequest(body, { headerLength, model });
}

describe('encodeInferRequest() and parseInferRequest()', () => {
  it.each([true, false])('carry tensors of every type and shape unchanged, binary %s', (binary) => {
    fc.assert(
      fc.property(tensorMaps(binary), (inputs) => {
        const request = throughRequest(inputs, binary);
        expect(request.inputs).toEqual(inputs);
        expect([...request.inputs.keys()]).toEqual([...inputs.keys()]);
        expect(request.id).toBe('é"1');
        expect(request.binaryOutput).toBe(binary);
      }),
      { numRuns: 400 },
    );
  });

  it('carry the list of outputs unchanged', () => {
    const outputs = [
      { name: 'a', binary: true },
      { name: 'b', binary: false, classification: 3 },
    ];
    const { body } = encodeInferRequest({
      inputs: new Map(),
      binaryInput: false,
      binaryOutput: false,
      outputs,
    });
    expect(parseInferRequest(body, { model }).outputs).toEqual(outputs);
  });
});

describe('encodeInferResponse() and parseInferResponse()', () => {
  it.each([true, false])('carry tensors of every type and shape unchanged, binary %s', (binaryOutput) => {
    fc.assert(
      fc.property(tensorMaps(binaryOutput), (outputs) => {
        const { body, headerLength } = encodeInferResponse({
          modelName: 'm',
          modelVersion: '3',
          id: '7',
          outputs,
          binaryOutput,
          batched: false,
        });
        const response = parseInferResponse(body, { headerLength });
        expect(response).toEqual({ modelName: 'm', modelVersion: '3', id: '7', parameters: {}, outputs });
      }),
      { numRuns: 400 },
    );
  });
});
