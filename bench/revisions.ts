/**
 * Compares the latency of this checkout with another checkout of Edgewise on the same models and bodies. Both workers start
 * anew each round, and slices of requests alternate in a random order, so the machine's pace cancels out of the ratio.
 *
 *   node bench/revisions.ts ../edgewise-before [mlp]
 */
import { resolve } from 'node:path';
import { root } from '../scripts/dev-server.ts';
import { binaryBody, jsonBody, type RequestBody, randomInput } from './bodies.ts';
import { Connection, measureAlternately, measureLatencies, requestBytes } from './load.ts';
import { median, quantiles } from './quantiles.ts';
import {
  type Bundle,
  bundle,
  edgewiseBindings,
  runEdgewise,
  startWorkerd,
  temporaryFolder,
} from './workerd.ts';

interface Case {
  readonly name: string;
  readonly model: string;
  readonly request: RequestBody;
  readonly warmUp: number;
  readonly perSlice: number;
}

interface Side {
  readonly checkout: string;
  readonly bundle: Bundle;
  readonly state: string;
}

const rounds = 5;
const slices = 12;
const mlp = randomInput('input', [1, 10]);
const cases: readonly Case[] = [
  { name: 'mlp, JSON', model: 'mlp', request: jsonBody(mlp), warmUp: 4000, perSlice: 400 },
  { name: 'mlp, binary', model: 'mlp', request: binaryBody(mlp), warmUp: 4000, perSlice: 400 },
  {
    name: 'ocr-detect 1×3×320×320, binary',
    model: 'ocr-detect',
    request: binaryBody(randomInput('x', [1, 3, 320, 320])),
    warmUp: 30,
    perSlice: 3,
  },
];

/** Bundles the checkout's worker and publishes the models to it with the checkout's own command. */
async function prepare(checkout: string): Promise<Side> {
  const side = { checkout, bundle: await bundle('wrangler.toml', checkout), state: temporaryFolder('state') };
  const server = await start(side);
  for (const model of new Set(cases.map(({ model }) => model))) {
    await runEdgewise(server.url, ['model', 'push', `models/${model}`], undefined, checkout);
  }
  await server.stop();
  return side;
}

function start({ bundle, state }: Side) {
  return startWorkerd({ bundle, state, bindings: edgewiseBindings() });
}

/** Returns the p50 of each side in ms, in the order of `sides`. */
async function measure(
  sides: readonly Side[],
  { model, request, warmUp, perSlice }: Case,
): Promise<number[]> {
  const lanes = [];
  for (const side of sides) {
    const server = await start(side);
    const bytes = requestBytes(server.url, `/v2/models/${model}/infer`, request);
    const connection = await Connection.open(server.url);
    await measureLatencies(connection, bytes, warmUp);
    lanes.push({ server, bytes, connection, times: [] as number[] });
  }
  await measureAlternately(lanes, { slices, perSlice });
  for (const { connection, server } of lanes) {
    connection.close();
    await server.stop();
  }
  return lanes.map(({ times }) => quantiles(times).p50);
}

const [other, part = ''] = process.argv.slice(2);
if (other === undefined) {
  console.error(
    'usage: node bench/revisions.ts <another checkout, with its packages installed> [part of a case name]',
  );
  process.exit(2);
}
const sides = [await prepare(resolve(other)), await prepare(root)];
for (const each of cases.filter(({ name }) => name.includes(part))) {
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const [before = Number.NaN, after = Number.NaN] = await measure(sides, each);
    ratios.push(after / before);
    console.log(`${each.name}, round ${round + 1}: ${before.toFixed(3)} → ${after.toFixed(3)} ms`);
  }
  console.log(`${each.name}: ratio ${median(ratios).toFixed(3)} (median of ${rounds} rounds)`);
}
