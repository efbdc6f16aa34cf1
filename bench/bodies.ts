/** Requests of the Open Inference Protocol with one FP32 input of random values, the same in every run. */
import { encodeInferRequest } from '../src/protocol/oip/infer-client.ts';
import { headerLengthName } from '../src/protocol/oip/types.ts';
import { elementCount } from '../src/tensor/shape.ts';

export interface RequestBody {
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Input {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Values from -1 to 1, by a linear congruential generator. */
export function randomInput(name: string, shape: readonly number[]): Input {
  const data = new Float32Array(elementCount(shape));
  let state = 1;
  for (let index = 0; index < data.length; index++) {
    state = (state * 48_271) % 2_147_483_647;
    data[index] = (state / 2_147_483_647) * 2 - 1;
  }
  return { name, shape, data };
}

/** As a Python or JavaScript client writes floats: the shortest text of the double that each one is. */
export function jsonBody({ name, shape, data }: Input): RequestBody {
  const text = JSON.stringify({ inputs: [{ name, shape, datatype: 'FP32', data: Array.from(data) }] });
  return { body: new TextEncoder().encode(text), headers: { 'Content-Type': 'application/json' } };
}

/** Binary both ways. */
export function binaryBody({ name, shape, data }: Input): RequestBody {
  const { body, contentType, headerLength } = encodeInferRequest({
    inputs: new Map([[name, { datatype: 'FP32', shape, data }]]),
    binaryInput: true,
    binaryOutput: true,
  });
  return {
    body,
    headers: {
      'Content-Type': contentType,
      ...(headerLength === undefined ? {} : { [headerLengthName]: headerLength }),
    },
  };
}
