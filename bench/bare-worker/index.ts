/**
 * The hand-written baseline of `bench/overhead.ts`: a Hono route that parses FP32 tensors, calls the published
 * onnxruntime-web, and answers. One model, no checks, no limits, no extra headers.
 */
import { Hono } from 'hono';
import wasmModule from 'onnxruntime-web/ort-wasm-simd-threaded.wasm';
import * as ort from 'onnxruntime-web/wasm';

interface Bindings {
  readonly MODELS: R2Bucket;
}

interface TensorJson {
  readonly name: string;
  readonly shape: number[];
  readonly data?: number[];
}

let session: Promise<ort.InferenceSession> | undefined;

/** Substitutes the imported module for the bytes, because workerd compiles no WebAssembly at run time. */
async function createSession(model: ArrayBuffer): Promise<ort.InferenceSession> {
  const { instantiate } = WebAssembly;
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = new ArrayBuffer(8);
  Object.assign(WebAssembly, {
    instantiate: async (_: unknown, imports: WebAssembly.Imports) => ({
      instance: new WebAssembly.Instance(wasmModule, imports),
      module: wasmModule,
    }),
  });
  try {
    return await ort.InferenceSession.create(model);
  } finally {
    Object.assign(WebAssembly, { instantiate });
  }
}

const app = new Hono<{ Bindings: Bindings }>();

app.post('/v2/models/:name/infer', async (c) => {
  const name = c.req.param('name');
  session ??= c.env.MODELS.get(`${name}.onnx`)
    .then((object) => object?.arrayBuffer() ?? Promise.reject(new Error(`no ${name}.onnx`)))
    .then(createSession);
  const model = await session;
  const headerLength = c.req.header('Inference-Header-Content-Length');
  if (headerLength === undefined) {
    const { inputs } = await c.req.json<{ inputs: TensorJson[] }>();
    const outputs = await model.run(
      Object.fromEntries(
        inputs.map(({ name, shape, data = [] }) => [
          name,
          new ort.Tensor('float32', Float32Array.from(data), shape),
        ]),
      ),
    );
    return c.json({
      model_name: name,
      outputs: Object.entries(outputs).map(([name, { data, dims }]) => ({
        name,
        datatype: 'FP32',
        shape: dims,
        data: Array.from(data as Float32Array),
      })),
    });
  }
  const body = await c.req.arrayBuffer();
  const jsonBytes = Number(headerLength);
  const { inputs } = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 0, jsonBytes))) as {
    inputs: TensorJson[];
  };
  let at = jsonBytes;
  const feeds = inputs.map(({ name, shape }) => {
    const begin = at;
    at += 4 * shape.reduce((product, dimension) => product * dimension, 1);
    return [name, new ort.Tensor('float32', new Float32Array(body.slice(begin, at)), shape)] as const;
  });
  const outputs = Object.entries(await model.run(Object.fromEntries(feeds))).map(
    ([name, { data, dims }]) => ({
      name,
      dims,
      data: data as Float32Array,
    }),
  );
  const json = new TextEncoder().encode(
    JSON.stringify({
      model_name: name,
      outputs: outputs.map(({ name, dims, data }) => ({
        name,
        datatype: 'FP32',
        shape: dims,
        parameters: { binary_data_size: data.byteLength },
      })),
    }),
  );
  const answer = new Uint8Array(outputs.reduce((sum, { data }) => sum + data.byteLength, json.byteLength));
  answer.set(json);
  let end = json.byteLength;
  for (const { data } of outputs) {
    answer.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), end);
    end += data.byteLength;
  }
  return c.body(answer, 200, {
    'Content-Type': 'application/octet-stream',
    'Inference-Header-Content-Length': String(json.byteLength),
  });
});

export default app;
