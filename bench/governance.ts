/**
 * Measures the cost of governance: the MLP with and without gate, receipt and log, on one connection, with new workers each
 * round and alternating slices in random order. Then the log's throughput, and the time until an answer has its proof of
 * inclusion. `npm run bench -- governance`
 */
import { cpSync } from 'node:fs';
import { binaryBody, randomInput } from './bodies.ts';
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
  type Workerd,
} from './workerd.ts';

const rounds = 5;
const warmUp = 4000;
const slices = 10;
const perSlice = 400;
/** Milliseconds that governance may add to an MLP request at p50. */
const goalMs = 0.15;
const goalPerSecond = 1000;
const goalInclusionMs = 3000;

const request = binaryBody(randomInput('input', [1, 10]));
const infer = '/v2/models/mlp/infer';

/** The measured configurations, each with its own worker; the last uses a tenant's key under a quota. */
const ways = [
  { name: 'the gate alone', parts: 'gate', tenant: false },
  { name: 'gate and receipt', parts: 'receipt', tenant: false },
  { name: 'gate, receipt and log', parts: 'all', tenant: false },
  { name: 'the same, tenant key and quota', parts: 'all', tenant: true },
] as const;
type Way = (typeof ways)[number];
const [nothing] = ways;

function start(worker: Bundle, state: string, { parts }: Pick<Way, 'parts'>): Promise<Workerd> {
  return startWorkerd({ bundle: worker, state, bindings: edgewiseBindings({ BENCH_PARTS: parts }) });
}

async function admin(url: URL, path: string, body: unknown): Promise<unknown> {
  const answer = await fetch(new URL(path, url), {
    method: 'POST',
    headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`POST ${path} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

/** Publishes the model and creates a tenant with a grant under a quota. Returns the tenant's key. */
async function prepare(worker: Bundle, state: string): Promise<string> {
  const server = await start(worker, state, { parts: 'all' });
  await runEdgewise(server.url, ['model', 'push', 'models/mlp']);
  await admin(server.url, '/admin/tenants', { id: 'bench', name: 'Benchmark', establishment: 'AT' });
  await admin(server.url, '/admin/tenants/bench/grants', {
    assigner: 'The Edgewise authors',
    model: 'mlp',
    quota: { units: 1_000_000_000, per: 'month' },
  });
  const made = (await admin(server.url, '/admin/tenants/bench/keys', {})) as { readonly text: string };
  await server.stop();
  return made.text;
}

async function measureRound(
  worker: Bundle,
  state: string,
  tenantKey: string,
): Promise<Map<string, Quantiles>> {
  const sides = await Promise.all(
    ways.map(async (way) => {
      const server = await start(worker, copyState(state), way);
      const headers = way.tenant ? { Authorization: `Bearer ${tenantKey}` } : {};
      const body = { ...request, headers: { ...request.headers, ...headers } };
      return {
        way,
        server,
        bytes: requestBytes(server.url, infer, body),
        connection: await Connection.open(server.url),
        times: [] as number[],
      };
    }),
  );
  // Warm up in turns, because workerd closes connections that are idle for some seconds.
  for (let slice = 0; slice < slices; slice++) {
    for (const { connection, bytes } of sides) await measureLatencies(connection, bytes, warmUp / slices);
  }
  await measureAlternately(sides, { slices, perSlice });
  for (const { connection, server } of sides) {
    connection.close();
    await server.stop();
  }
  return new Map(sides.map(({ way, times }) => [way.name, quantiles(times)]));
}

/** Copies the state, because only one process may use a Durable Object's storage. */
function copyState(state: string): string {
  const copy = temporaryFolder('state');
  cpSync(state, copy, { recursive: true });
  return copy;
}

interface Throughput {
  readonly receipts: number;
  readonly appendedMs: number;
  /** Milliseconds until a checkpoint covers the receipts. */
  readonly sequencedMs: number;
}

async function measureThroughput(worker: Bundle, receipts: number): Promise<Throughput> {
  const server = await start(worker, temporaryFolder('log'), { parts: 'all' });
  const before = await readLogSize(server.url);
  const begun = performance.now();
  const answer = await fetch(new URL(`/bench/fill?count=${receipts}`, server.url));
  if (!answer.ok) throw new Error(`the log was not filled: ${answer.status} ${await answer.text()}`);
  const appendedMs = performance.now() - begun;
  while ((await readLogSize(server.url)) < before + receipts) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const sequencedMs = performance.now() - begun;
  await server.stop();
  return { receipts, appendedMs, sequencedMs };
}

/** Returns the size of the log by its public checkpoint. */
async function readLogSize(url: URL): Promise<number> {
  const answer = await fetch(new URL('/log/checkpoint', url));
  const text = await answer.text();
  return answer.ok ? Number(text.split('\n')[1]) : 0;
}

/** Measures requests whose answers wait for their proofs. */
async function measureInclusion(worker: Bundle, state: string, count: number): Promise<number[]> {
  const server = await start(worker, copyState(state), { parts: 'all' });
  const headers = { ...request.headers, Prefer: 'receipt=logged' };
  const bytes = requestBytes(server.url, infer, { ...request, headers });
  const connection = await Connection.open(server.url);
  await sendOk(connection, requestBytes(server.url, infer, request));
  const times = await measureLatencies(connection, bytes, count);
  connection.close();
  await server.stop();
  return times;
}

const worker = await bundle('bench/governed-worker/wrangler.toml');
const state = temporaryFolder('state');
const tenantKey = await prepare(worker, state);
const measured: Map<string, Quantiles>[] = [];
for (let count = 0; count < rounds; count++) {
  const one = await measureRound(worker, state, tenantKey);
  measured.push(one);
  console.log(
    `round ${count + 1}: p50 ${ways.map(({ name }) => `${name} ${formatFigure(one.get(name)?.p50 ?? 0)}`).join(', ')} ms`,
  );
}
const of = (name: string, at: 'p50' | 'p99') => median(measured.map((one) => one.get(name)?.[at] ?? 0));
/** Compares within each round, so that changes of the machine's pace cancel out. */
const added = (name: string, at: 'p50' | 'p99') =>
  median(measured.map((one) => (one.get(name)?.[at] ?? 0) - (one.get(nothing.name)?.[at] ?? 0))).toFixed(3);
const fills = [
  await measureThroughput(worker, 20_000),
  await measureThroughput(worker, 20_000),
  await measureThroughput(worker, 20_000),
];
const proven = quantiles(await measureInclusion(worker, state, 40));

publish({
  name: 'governance',
  tables: [
    {
      columns: ['mlp, binary', 'p50, ms', 'p99, ms', 'added at p50, ms', 'added at p99, ms', 'goal'],
      rows: ways.map(({ name }) => [
        name,
        formatFigure(of(name, 'p50')),
        formatFigure(of(name, 'p99')),
        ...(name === nothing.name
          ? ['–', '–', '–']
          : [added(name, 'p50'), added(name, 'p99'), `≤ ${goalMs} at p50`]),
      ]),
    },
    {
      columns: ['the log', 'measured', 'goal'],
      rows: [
        [
          'receipts taken, per second',
          Math.round(median(fills.map(({ receipts, appendedMs }) => (receipts / appendedMs) * 1000))),
          `≥ ${goalPerSecond}`,
        ],
        [
          'receipts taken and under a checkpoint, per second',
          Math.round(median(fills.map(({ receipts, sequencedMs }) => (receipts / sequencedMs) * 1000))),
          `≥ ${goalPerSecond}`,
        ],
        [
          'answer with its proof of inclusion, p50 / p99, ms',
          `${formatFigure(proven.p50)} / ${formatFigure(proven.p99)}`,
          `< ${goalInclusionMs}`,
        ],
      ],
    },
  ],
  raw: { rounds: measured.map((one) => Object.fromEntries(one)), fills, proven },
});
