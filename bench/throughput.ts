/**
 * Measures requests per second and latencies with 1, 8 and 32 connections, each of which sends its next request when the
 * last one is answered. The load generator uses the other core. `npm run bench -- throughput`
 */
import { binaryBody, jsonBody, type RequestBody, randomInput } from './bodies.ts';
import { closedLoop, requestBytes } from './load.ts';
import { quantiles } from './quantiles.ts';
import { formatFigure, publish } from './report.ts';
import { bundle, edgewiseBindings, runEdgewise, startWorkerd } from './workerd.ts';

const mlp = randomInput('input', [1, 10]);
const cases: readonly { readonly name: string; readonly model: string; readonly request: RequestBody }[] = [
  { name: 'mlp, JSON', model: 'mlp', request: jsonBody(mlp) },
  { name: 'mlp, binary', model: 'mlp', request: binaryBody(mlp) },
  {
    name: 'ocr-angle, binary',
    model: 'ocr-angle',
    request: binaryBody(randomInput('x', [1, 3, 48, 192])),
  },
];
const seconds = 8;

const server = await startWorkerd({ bundle: await bundle('wrangler.toml'), bindings: edgewiseBindings() });
for (const model of new Set(cases.map(({ model }) => model))) {
  await runEdgewise(server.url, ['model', 'push', `models/${model}`]);
}
const results = [];
for (const { name, model, request } of cases) {
  const bytes = requestBytes(server.url, `/v2/models/${model}/infer`, request);
  await closedLoop(server.url, bytes, { connections: 8, seconds: 3 });
  for (const connections of [1, 8, 32]) {
    const { seconds: took, latenciesMs } = await closedLoop(server.url, bytes, { connections, seconds });
    results.push({ name, connections, perSecond: latenciesMs.length / took, ...quantiles(latenciesMs) });
  }
}
await server.stop();

publish({
  name: 'throughput',
  tables: [
    {
      columns: ['request', 'connections', 'requests per second', 'p50, ms', 'p99, ms', 'slowest, ms'],
      rows: results.map(({ name, connections, perSecond, p50, p99, max }) => [
        ...[name, connections, Math.round(perSecond)],
        ...[p50, p99, max].map(formatFigure),
      ]),
    },
  ],
  raw: results,
});
