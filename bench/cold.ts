/**
 * Measures cold starts: from the start of the workerd process to its first answer; and the first request for a model in an
 * isolate whose engine runs already, by the tier that holds the model's blobs. Every sample is a new process. Tiers are
 * local simulators without network distances. `npm run bench -- cold`
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { findFreePort } from '../scripts/dev-server.ts';
import { binaryBody, type Input, jsonBody, type RequestBody, randomInput } from './bodies.ts';
import { matrixChain } from './generated-models.ts';
import { Connection, requestBytes, sendOk } from './load.ts';
import { quantiles } from './quantiles.ts';
import { formatFigure, publish } from './report.ts';
import {
  bundle,
  edgewiseBindings,
  runEdgewise,
  startWorkerd,
  temporaryFolder,
  type Workerd,
} from './workerd.ts';

const repeats = 5;
const chain = matrixChain(temporaryFolder('models'), { layers: 20, width: 1024 });
const angle = randomInput('x', [1, 3, 48, 192]);

interface Model {
  readonly name: string;
  readonly folder: string;
  readonly request: RequestBody;
}

const model = (name: string, input: Input, folder = `models/${name}`): Model => ({
  ...{ name, folder, request: name === 'mlp' ? jsonBody(input) : binaryBody(input) },
});
const models = [
  model('mlp', randomInput('input', [1, 10])),
  model('ocr-recognise', randomInput('x', [1, 3, 48, 320])),
  model(chain.name, randomInput('x', [1, 1024]), chain.folder),
];
/** The model whose first request starts the engine, before the measured model is requested. */
const first = model('ocr-angle', angle);

const worker = await bundle('wrangler.toml');
const bindings = edgewiseBindings({ EDGEWISE_MEMORY_CAP_MIB: '112' });

const kinds = ['r2', 'kv', 'cache'] as const;
type Kind = (typeof kinds)[number];

/** Makes two state folders: one with everything in R2, KV and cache, one with only the indexes in R2. */
async function prepare() {
  const full = temporaryFolder('full');
  let server = await startWorkerd({ bundle: worker, state: full, bindings });
  for (const { folder } of [...models, first]) {
    await runEdgewise(server.url, ['model', 'push', folder, '--memory-cap', '112']);
  }
  for (const each of [first, ...models]) await measureFirstAnswer(server.url, each);
  await waitUntilFilled(server);
  await server.stop();
  const indexOnly = temporaryFolder('index-only');
  await cp(join(full, 'r2'), join(indexOnly, 'r2'), { recursive: true });
  server = await startWorkerd({ bundle: worker, state: indexOnly, bindings });
  const { MODELS } = await server.miniflare.getBindings<Stores>();
  for (const { key } of (await MODELS.list({ prefix: 'blobs/' })).objects) await MODELS.delete(key);
  await server.stop();
  return { full, indexOnly };
}

interface Stores {
  readonly MODELS: {
    list(options: { prefix: string }): Promise<{ readonly objects: readonly { readonly key: string }[] }>;
    delete(key: string): Promise<void>;
  };
  readonly BLOBS: { list(): Promise<{ readonly keys: readonly unknown[] }> };
}

/** Waits until KV has every blob of R2, because tiers are filled after the answer. */
async function waitUntilFilled({ miniflare }: Workerd): Promise<void> {
  const { MODELS, BLOBS } = await miniflare.getBindings<Stores>();
  const expected = (await MODELS.list({ prefix: 'blobs/' })).objects.length;
  for (let tries = 0; tries < 100; tries++) {
    if ((await BLOBS.list()).keys.length >= expected) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`KV does not have the ${expected} blobs of R2`);
}

/** Makes a state whose blobs are only in `kind`. Linked folders are only read; missing ones are filled and thrown away. */
function makeState(
  kind: Kind,
  { full, indexOnly }: { readonly full: string; readonly indexOnly: string },
): string {
  const state = temporaryFolder(kind);
  mkdirSync(state, { recursive: true });
  symlinkSync(join(kind === 'r2' ? full : indexOnly, 'r2'), join(state, 'r2'));
  if (kind !== 'r2') symlinkSync(join(full, kind), join(state, kind));
  return state;
}

async function measureFirstAnswer(url: URL, { name, request }: Model): Promise<number> {
  const connection = await Connection.open(url);
  const { ms } = await sendOk(connection, requestBytes(url, `/v2/models/${name}/infer`, request));
  connection.close();
  return ms;
}

async function measureFirstRequest(kind: Kind, each: Model, states: Awaited<ReturnType<typeof prepare>>) {
  const state = makeState(kind, states);
  const server = await startWorkerd({ bundle: worker, state, bindings });
  await measureFirstAnswer(server.url, first);
  const ms = await measureFirstAnswer(server.url, each);
  await server.stop();
  rmSync(state, { recursive: true });
  return ms;
}

const stampFile = join(temporaryFolder('stamp'), 'started');

/** Makes Miniflare start workerd through a script that records the time of the start. */
function stampStarts(): void {
  const binary = createRequire(createRequire(import.meta.url).resolve('miniflare'))('workerd').default;
  const script = join(temporaryFolder('workerd'), 'workerd');
  writeFileSync(
    script,
    `#!/bin/sh\ndate +%s%N > '${stampFile}.part'\nmv '${stampFile}.part' '${stampFile}'\nexec '${binary}' "$@"\n`,
  );
  chmodSync(script, 0o755);
  process.env['MINIFLARE_WORKERD_PATH'] = script;
}

/** Returns the milliseconds from the start of the process to the end of its first answer. */
async function measureProcessStart(
  each: Model,
  states: Awaited<ReturnType<typeof prepare>>,
): Promise<number> {
  const state = makeState('r2', states);
  rmSync(stampFile, { force: true });
  const port = await findFreePort();
  const starting = startWorkerd({ bundle: worker, state, bindings, port });
  const answered = waitForAnswer(new URL(`http://127.0.0.1:${port}`), each);
  const server = await starting;
  const endMs = await answered;
  await server.stop();
  rmSync(state, { recursive: true });
  return endMs - Number(readFileSync(stampFile, 'utf8')) / 1e6;
}

async function waitForAnswer(url: URL, each: Model): Promise<number> {
  for (;;) {
    if (existsSync(stampFile)) {
      try {
        await measureFirstAnswer(url, each);
        return performance.timeOrigin + performance.now();
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED')) throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const states = await prepare();
const tiers = [];
for (const each of models) {
  const times: Record<Kind, number[]> = { r2: [], kv: [], cache: [] };
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const kind of kinds) times[kind].push(await measureFirstRequest(kind, each, states));
  }
  console.log(each.name, times);
  tiers.push({ model: each.name, times });
}
stampStarts();
const starts = [];
for (const each of models) {
  const times: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) times.push(await measureProcessStart(each, states));
  starts.push({ model: each.name, times });
}

function formatCell(times: readonly number[]): string {
  const { p50, max } = quantiles(times);
  return `${formatFigure(p50)} (${formatFigure(Math.min(...times))}–${formatFigure(max)})`;
}

publish({
  name: 'cold',
  notes: [
    `Median of ${repeats} (least–most), each in a new process. ${chain.name}: 83.9 MB of FP32 weights, WASM cap 112 MiB.`,
  ],
  tables: [
    {
      columns: ['process start to first answer, model in R2 alone', 'ms'],
      rows: starts.map(({ model, times }) => [model, formatCell(times)]),
    },
    {
      columns: [
        'first request for the model, engine started',
        'from the cache, ms',
        'from KV, ms',
        'from R2, ms',
      ],
      rows: tiers.map(({ model, times }) => [
        model,
        formatCell(times.cache),
        formatCell(times.kv),
        formatCell(times.r2),
      ]),
    },
  ],
  raw: { starts, tiers },
});
