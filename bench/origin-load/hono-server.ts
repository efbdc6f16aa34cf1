/** A hand-written server with Hono and onnxruntime-node: a route that parses JSON and runs the session. */
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { InferenceSession, Tensor } from 'onnxruntime-node';

interface InferRequest {
  readonly inputs: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly data: readonly number[];
  }[];
}

const [model = '', port = ''] = process.argv.slice(2);
const session = await InferenceSession.create(model);
const app = new Hono();
app.post('/v2/models/mlp/infer', async (c) => {
  const { inputs } = await c.req.json<InferRequest>();
  const feeds = Object.fromEntries(
    inputs.map(({ name, shape, data }) => [name, new Tensor('float32', Float32Array.from(data), [...shape])]),
  );
  const results = await session.run(feeds);
  const outputs = Object.entries(results).map(([name, { dims, data }]) => ({
    name,
    datatype: 'FP32',
    shape: dims,
    data: Array.from(data as Float32Array),
  }));
  return c.json({ model_name: 'mlp', outputs });
});
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(port) });
