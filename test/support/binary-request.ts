/** An inference with one FP32 input, and an answer, both in binary tensors. */
import { parseInferResponse } from '../../src/protocol/oip/infer-client.ts';
import { headerLengthName } from '../../src/protocol/oip/types.ts';

export interface BinaryRequest {
  readonly method: 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
}

export function binaryRequest(
  name: string,
  shape: readonly number[],
  values: ArrayLike<number>,
): BinaryRequest {
  const data = new Uint8Array(Float32Array.from(values).buffer);
  const json = new TextEncoder().encode(
    JSON.stringify({
      inputs: [{ name, shape, datatype: 'FP32', parameters: { binary_data_size: data.byteLength } }],
      parameters: { binary_data_output: true },
    }),
  );
  const body = new Uint8Array(json.byteLength + data.byteLength);
  body.set(json);
  body.set(data, json.byteLength);
  return { method: 'POST', headers: { [headerLengthName]: String(json.byteLength) }, body };
}

/** Output name → values. */
export async function readBinary(answer: Response): Promise<Record<string, number[]>> {
  const { outputs } = parseInferResponse(new Uint8Array(await answer.arrayBuffer()), {
    headerLength: answer.headers.get(headerLengthName) ?? undefined,
  });
  return Object.fromEntries(Array.from(outputs, ([name, { data }]) => [name, Array.from(data, Number)]));
}
