/**
 * Measures the protocol codec in microseconds per call (median of batches), next to plain JSON.parse and JSON.stringify in
 * the same run. `npm run bench -- protocol`
 */
import { encodeInferRequest } from '../src/protocol/oip/infer-client.ts';
import { parseInferRequest } from '../src/protocol/oip/infer-request.ts';
import { encodeInferResponse } from '../src/protocol/oip/infer-response.ts';
import { zeroTensor } from '../src/tensor/allocate.ts';
import type { Shape } from '../src/tensor/shape.ts';
import type { Tensor } from '../src/tensor/tensor.ts';

const batches = 41;

function measureMicroseconds(calls: number, run: () => unknown): string {
  const times = Array.from({ length: batches }, () => {
    const start = performance.now();
    for (let call = 0; call < calls; call++) run();
    return ((performance.now() - start) * 1000) / calls;
  });
  times.sort((a, b) => a - b);
  return (times[batches >> 1] ?? 0).toFixed(1).padStart(10);
}

function printRow(name: string, calls: number, run: () => unknown): void {
  console.log(`${name.padEnd(52)}${measureMicroseconds(calls, run)} µs`);
}

function randomTensor(shape: Shape): Tensor {
  const tensor = zeroTensor('FP32', shape);
  for (let index = 0; index < tensor.data.length; index++) tensor.data[index] = Math.random() * 2 - 1;
  return tensor;
}

/** Encodes floats as JavaScript and Python clients do: as the shortest text of each value as a double. */
function jsonBody(tensor: Tensor, nested: boolean): Uint8Array {
  const flat = Array.from(tensor.data, Number);
  const rowLength = tensor.shape.at(-1) ?? 1;
  const rows = Array.from({ length: flat.length / rowLength }, (_, index) =>
    flat.slice(index * rowLength, (index + 1) * rowLength),
  );
  const shape = nested ? [rows.length, rowLength] : tensor.shape;
  return new TextEncoder().encode(
    JSON.stringify({ inputs: [{ name: 'x', shape, datatype: 'FP32', data: nested ? rows : flat }] }),
  );
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();
const model = { inputs: [], maxBatchSize: 0 };

for (const [shape, calls] of [
  [[1, 10], 2000],
  [[1, 3, 48, 192], 5],
] as const) {
  const tensor = randomTensor(shape);
  const outputs = new Map([['y', tensor]]);
  const count = tensor.data.length;
  for (const nested of [false, true]) {
    const body = jsonBody(tensor, nested);
    const form = nested ? 'nested' : 'flat';
    printRow(`${count} floats, JSON ${form}: JSON.parse alone`, calls, () =>
      JSON.parse(decoder.decode(body)),
    );
    printRow(`${count} floats, JSON ${form}: parseInferRequest`, calls, () =>
      parseInferRequest(body, { model }),
    );
  }
  printRow(`${count} floats, JSON: JSON.stringify(Array.from) alone`, calls, () =>
    encoder.encode(
      JSON.stringify({
        outputs: [{ name: 'y', shape, datatype: 'FP32', data: Array.from(tensor.data, Number) }],
      }),
    ),
  );
  printRow(`${count} floats, JSON: encodeInferResponse`, calls, () =>
    encodeInferResponse({ modelName: 'm', modelVersion: '1', outputs, binaryOutput: false, batched: true }),
  );
}

for (const [shape, calls] of [
  [[1, 10], 2000],
  [[1, 3, 320, 320], 20],
] as const) {
  const tensor = randomTensor(shape);
  const { body, headerLength } = encodeInferRequest({
    inputs: new Map([['x', tensor]]),
    binaryInput: true,
    binaryOutput: true,
  });
  const count = tensor.data.length;
  printRow(`${count} floats, binary: parseInferRequest`, calls, () =>
    parseInferRequest(body, { headerLength, model }),
  );
  printRow(`${count} floats, binary: one copy of the bytes alone`, calls, () => body.slice());
  printRow(`${count} floats, binary: encodeInferResponse`, calls, () =>
    encodeInferResponse({
      modelName: 'm',
      modelVersion: '1',
      outputs: new Map([['y', tensor]]),
      binaryOutput: true,
      batched: true,
    }),
  );
}

const long = `{"inputs":[{"name":"x","shape":[27648],"datatype":"INT64","data":[${Array.from({ length: 27648 }, (_, index) => 2n ** 62n + BigInt(index)).join(',')}]}]}`;
const longBody = encoder.encode(long);
printRow('27648 INT64 beyond 2^53: JSON.parse alone', 3, () => JSON.parse(long));
printRow('27648 INT64 beyond 2^53: parseInferRequest', 3, () => parseInferRequest(longBody, { model }));
