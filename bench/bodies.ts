/** Open Inference Protocol requests with one FP32 input of pseudo-random values, the same in every run. */
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

/** Returns values from -1 to 1, made by a linear congruential generator. */
export function randomInput(name: string, shape: readonly number[]): Input {
  const data = new Float32Array(elementCount(shape));
  let state = 1;
  for (let index = 0; index < data.length; index++) {
    state = (state * 48_271) % 2_147_483_647;
    data[index] = (state / 2_147_483_647) * 2 - 1;
  }
  return { name, shape, data };
}

/** Encodes floats as Python and JavaScript clients do: as the shortest text of each value as a double. */
export function jsonBody({ name, shape, data }: Input): RequestBody {
  const text = JSON.stringify({ inputs: [{ name, shape, datatype: 'FP32', data: Array.from(data) }] });
  return { body: new TextEncoder().encode(text), headers: { 'Content-Type': 'application/json' } };
}

/** Encodes the input in binary and requests binary outputs. */
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
