/**
 * Measures the cost of reaching an origin's model through the worker, compared with asking the origin directly and with a
 * Worker that only forwards. One connection each, alternating slices in random order, new processes each round.
 * `npm run bench -- hop`
 */
import { findFreePort } from '../scripts/dev-server.ts';
import { type OriginServer, startOrigin } from '../scripts/origin-server.ts';
import { trustedPublishers } from '../test/support/publisher.ts';
import { binaryBody, jsonBody, type RequestBody, randomInput } from './bodies.ts';
import { channelMeans } from './generated-models.ts';
import { Connection, measureAlternately, measureLatencies, requestBytes, sendOk } from './load.ts';
import { median, type Quantiles, quantiles } from './quantiles.ts';
import { formatFigure, publish } from './report.ts';
import {
  adminKey,
  type Bundle,
  bundle,
  edgewiseBindings,
  runEdgewise,
  startWorkerd,
  temporaryFolder,
} from './workerd.ts';

/** The ways that a request can take. */
const ways = ['direct', 'streamed', 'buffered', 'edgewise'] as const;
type Way = (typeof ways)[number];

interface Case {
  readonly name: string;
  readonly model: string;
  readonly request: RequestBody;
  readonly perSlice: number;
}

const rounds = 5;
const slices = 12;
/** Milliseconds that Edgewise may add at p50 to a Worker that forwards the same body. */
const goalMs = 0.6;
const picture = randomInput('x', [1, 3, 320, 320]);
const row = randomInput('input', [1, 10]);
const cases: readonly Case[] = [
  { name: '1×3×320×320, binary', model: 'channel-means', request: binaryBody(picture), perSlice: 40 },
  { name: '1×3×320×320, JSON', model: 'channel-means', request: jsonBody(picture), perSlice: 8 },
  { name: 'mlp, binary', model: 'mlp', request: binaryBody(row), perSlice: 150 },
  { name: 'mlp, JSON', model: 'mlp', request: jsonBody(row), perSlice: 150 },
];

type Round = Readonly<Record<Way, Quantiles>>;

interface Servers {
  readonly edgewise: URL;
  readonly forward: URL;
  readonly origin: OriginServer;
  stop(): Promise<void>;
}

const bundles = {
  edgewise: await bundle('wrangler.toml'),
  forward: await bundle('bench/forward-worker/wrangler.toml'),
};
const state = temporaryFolder('state');
const models = temporaryFolder('models');
const cacheDirectory = temporaryFolder('origin');

async function start({
  edgewise,
  forward,
}: Readonly<Record<'edgewise' | 'forward', Bundle>>): Promise<Servers> {
  const port = await findFreePort();
  const origin = await startOrigin({
    upstream: { url: `http://127.0.0.1:${port}`, adminKey },
    cacheDirectory,
    vars: { EDGEWISE_EXECUTION_PROVIDERS: 'cpu', EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers },
  });
  const pool = [{ name: 'origin', url: origin.url, auth: { bearerSecret: 'ORIGIN_KEY' } }];
  const workers = await Promise.all([
    startWorkerd({
      bundle: edgewise,
      state,
      port,
      bindings: edgewiseBindings({ EDGEWISE_ORIGIN_POOL: JSON.stringify(pool), ORIGIN_KEY: origin.key }),
    }),
    startWorkerd({ bundle: forward, bindings: { ORIGIN: origin.url, ORIGIN_KEY: origin.key } }),
  ]);
  return {
    edgewise: workers[0].url,
    forward: workers[1].url,
    origin,
    async stop() {
      await Promise.all(workers.map((worker) => worker.stop()));
      await origin.stop();
    },
  };
}

function target(way: Way, { edgewise, forward, origin }: Servers, path: string): [URL, string] {
  if (way === 'direct') return [new URL(origin.url), path];
  return way === 'edgewise' ? [edgewise, path] : [forward, `/${way}${path}`];
}

async function measureRound(servers: Servers, { model, request, perSlice }: Case): Promise<Round> {
  const path = `/v2/models/${model}/infer`;
  const sides = await Promise.all(
    ways.map(async (way) => {
      const [url, address] = target(way, servers, path);
      const headers =
        way === 'direct'
          ? { ...request.headers, Authorization: `Bearer ${servers.origin.key}` }
          : request.headers;
      return {
        way,
        bytes: requestBytes(url, address, { ...request, headers }),
        connection: await Connection.open(url),
        times: [] as number[],
      };
    }),
  );
  const bodies = new Set<string>();
  for (const { connection, bytes } of sides) {
    bodies.add((await sendOk(connection, bytes)).body.toString('latin1'));
    await measureLatencies(connection, bytes, perSlice * 2);
  }
  if (bodies.size !== 1) throw new Error(`${model}: the answers of the ways differ`);
  await measureAlternately(sides, { slices, perSlice });
  for (const { connection } of sides) connection.close();
  return Object.fromEntries(sides.map(({ way, times }) => [way, quantiles(times)])) as Round;
}

const first = await start(bundles);
await runEdgewise(first.edgewise, ['model', 'push', channelMeans(models).folder, '--origin']);
await runEdgewise(first.edgewise, ['model', 'push', 'models/mlp', '--origin']);
await first.stop();

const results = cases.map(({ name }) => ({ name, rounds: [] as Round[] }));
for (let count = 0; count < rounds; count++) {
  const servers = await start(bundles);
  for (const [index, each] of cases.entries()) {
    const one = await measureRound(servers, each);
    results[index]?.rounds.push(one);
    console.log(
      `${each.name}, round ${count + 1}: p50 ${ways.map((way) => `${way} ${formatFigure(one[way].p50)}`).join(', ')} ms`,
    );
  }
  await servers.stop();
}

const of = (measured: readonly Round[], way: Way, at: 'p50' | 'p99') =>
  median(measured.map((one) => one[way][at]));
publish({
  name: 'hop',
  tables: [
    {
      columns: [
        'request',
        'origin itself p50, ms',
        'bare Worker, streamed p50, ms',
        'bare Worker, buffered p50, ms',
        'Edgewise p50, ms',
        'Edgewise over buffered, ms',
        'Edgewise over the origin itself, ms',
        'origin itself p99, ms',
        'bare Worker, buffered p99, ms',
        'Edgewise p99, ms',
      ],
      rows: results.map(({ name, rounds: measured }) => {
        const p50 = (way: Way) => of(measured, way, 'p50');
        const p99 = (way: Way) => formatFigure(of(measured, way, 'p99'));
        return [
          name,
          ...[
            formatFigure(p50('direct')),
            formatFigure(p50('streamed')),
            formatFigure(p50('buffered')),
            formatFigure(p50('edgewise')),
          ],
          (p50('edgewise') - p50('buffered')).toFixed(2),
          (p50('edgewise') - p50('direct')).toFixed(2),
          ...[p99('direct'), p99('buffered'), p99('edgewise')],
        ];
      }),
    },
  ],
  notes: [`Goal: Edgewise at most ${goalMs} ms over the bare Worker for the binary picture.`],
  raw: results,
});
