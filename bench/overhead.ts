/**
 * Measures the cost of a request's whole path over a bare Hono handler that calls onnxruntime-web with the same body and
 * model: one connection, new workers each round, alternating slices in random order. `npm run bench -- overhead`
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { binaryBody, jsonBody, type RequestBody, randomInput } from './bodies.ts';
import { Connection, measureAlternately, measureLatencies, requestBytes, sendOk } from './load.ts';
import { median, type Quantiles, quantiles } from './quantiles.ts';
import { formatFigure, publish } from './report.ts';
import {
  type Bundle,
  bundle,
  edgewiseBindings,
  runEdgewise,
  startWorkerd,
  temporaryFolder,
  type Workerd,
} from './workerd.ts';

interface Case {
  readonly name: string;
  readonly model: string;
  readonly request: RequestBody;
  readonly warmUp: number;
  readonly slices: number;
  readonly perSlice: number;
  readonly goal: number;
}

const rounds = 7;
const mlp = randomInput('input', [1, 10]);
const picture = randomInput('x', [1, 3, 320, 320]);
const small = { model: 'mlp', warmUp: 4000, slices: 10, perSlice: 400, goal: 1.15 };
const cases: readonly Case[] = [
  { ...small, name: 'mlp, JSON', request: jsonBody(mlp) },
  { ...small, name: 'mlp, binary', request: binaryBody(mlp) },
  {
    ...{ name: 'ocr-detect 1×3×320×320, binary', model: 'ocr-detect', request: binaryBody(picture) },
    ...{ warmUp: 40, slices: 10, perSlice: 3, goal: 1.03 },
  },
];

interface Round {
  readonly edgewise: Quantiles;
  readonly bare: Quantiles;
}

interface Bundles {
  readonly edgewise: Bundle;
  readonly bare: Bundle;
  readonly state: string;
  readonly joined: ReadonlyMap<string, Buffer>;
}

async function prepare(): Promise<Bundles> {
  const bundles = {
    edgewise: await bundle('wrangler.toml'),
    bare: await bundle('bench/bare-worker/wrangler.toml'),
  };
  const state = temporaryFolder('state');
  const server = await startWorkerd({ bundle: bundles.edgewise, state, bindings: edgewiseBindings() });
  const joined = new Map<string, Buffer>();
  for (const model of new Set(cases.map(({ model }) => model))) {
    await runEdgewise(server.url, ['model', 'push', `models/${model}`]);
    const out = join(temporaryFolder('joined'), model);
    await runEdgewise(server.url, ['model', 'pull', model, '--joined', '--out', out]);
    joined.set(model, readFileSync(join(out, 'model.onnx')));
  }
  await server.stop();
  return { ...bundles, state, joined };
}

/** Starts the bare worker with the graph that Edgewise published, in one piece, so that both run the same graph. */
async function startBare({ bare, joined }: Bundles, model: string): Promise<Workerd> {
  const server = await startWorkerd({ bundle: bare });
  const { MODELS } = await server.miniflare.getBindings<{ MODELS: Bucket }>();
  await MODELS.put(`${model}.onnx`, joined.get(model) ?? Buffer.alloc(0));
  return server;
}

interface Bucket {
  put(key: string, value: Uint8Array): Promise<unknown>;
}

async function measureRound(
  bundles: Bundles,
  { model, request, warmUp, slices, perSlice }: Case,
): Promise<Round> {
  const servers = {
    edgewise: await startWorkerd({
      bundle: bundles.edgewise,
      state: bundles.state,
      bindings: edgewiseBindings(),
    }),
    bare: await startBare(bundles, model),
  };
  const sides = await Promise.all(
    Object.entries(servers).map(async ([side, { url }]) => ({
      side,
      bytes: requestBytes(url, `/v2/models/${model}/infer`, request),
      connection: await Connection.open(url),
      times: [] as number[],
    })),
  );
  for (const { connection, bytes } of sides) await measureLatencies(connection, bytes, warmUp);
  await measureAlternately(sides, { slices, perSlice });
  for (const { connection } of sides) connection.close();
  for (const server of Object.values(servers)) await server.stop();
  const of = (name: string) => quantiles(sides.find(({ side }) => side === name)?.times ?? []);
  return { edgewise: of('edgewise'), bare: of('bare') };
}

/** @throws Error if the answers differ: then their speed does not matter. */
async function checkAnswers(bundles: Bundles, { model, name }: Case, request: RequestBody): Promise<void> {
  const ours = await startWorkerd({
    bundle: bundles.edgewise,
    state: bundles.state,
    bindings: edgewiseBindings(),
  });
  const bare = await startBare(bundles, model);
  const answers = await Promise.all(
    [ours, bare].map(async ({ url }) => {
      const connection = await Connection.open(url);
      const { body } = await sendOk(connection, requestBytes(url, `/v2/models/${model}/infer`, request));
      connection.close();
      const { outputs } = JSON.parse(body.toString()) as { outputs: { data: number[] }[] };
      return Float32Array.from(outputs[0]?.data ?? []);
    }),
  );
  await Promise.all([ours.stop(), bare.stop()]);
  const [a = new Float32Array(), b = new Float32Array()] = answers;
  const difference = Math.max(...a.map((value, index) => Math.abs(value - (b[index] ?? Number.NaN))));
  if (a.length === 0 || !(difference <= 1e-5)) throw new Error(`${name}: answers differ by ${difference}`);
}

const bundles = await prepare();
const results: { name: string; goal: number; rounds: Round[] }[] = [];
for (const each of cases) {
  await checkAnswers(bundles, each, jsonBody(each.model === 'mlp' ? mlp : picture));
  const measured: Round[] = [];
  for (let count = 0; count < rounds; count++) {
    const one = await measureRound(bundles, each);
    measured.push(one);
    console.log(
      `${each.name}, round ${count + 1}: p50 ${formatFigure(one.edgewise.p50)} ms, bare ${formatFigure(one.bare.p50)} ms`,
    );
  }
  results.push({ name: each.name, goal: each.goal, rounds: measured });
}

interface Row {
  readonly name: string;
  readonly goal: number;
  readonly edgewise: Pick<Quantiles, 'p50' | 'p99'>;
  readonly bare: Pick<Quantiles, 'p50' | 'p99'>;
  readonly ratio: number;
}

const rows: readonly Row[] = results.map(({ name, goal, rounds }) => {
  const side = (which: 'edgewise' | 'bare') => ({
    p50: median(rounds.map((one) => one[which].p50)),
    p99: median(rounds.map((one) => one[which].p99)),
  });
  const [ours, bare] = [side('edgewise'), side('bare')];
  return { name, goal, edgewise: ours, bare, ratio: ours.p50 / bare.p50 };
});
const missed = rows.filter(({ ratio, goal }) => ratio > goal);

publish({
  name: 'overhead',
  tables: [
    {
      columns: [
        'request',
        'Edgewise p50, ms',
        'bare p50, ms',
        'ratio',
        'goal',
        'Edgewise p99, ms',
        'bare p99, ms',
      ],
      rows: rows.map(({ name, goal, edgewise: ours, bare, ratio }) => [
        ...[name, formatFigure(ours.p50), formatFigure(bare.p50), ratio.toFixed(3), `≤ ${goal}`],
        ...[formatFigure(ours.p99), formatFigure(bare.p99)],
      ]),
    },
  ],
  notes: [
    missed.length === 0
      ? 'Every goal is reached.'
      : `Missed by: ${missed.map(({ name, ratio, goal }) => `${name} (${ratio.toFixed(2)} for ${goal})`).join(', ')}.`,
  ],
  raw: results,
});
