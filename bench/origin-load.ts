/**
 * Compares an origin (`npm run origin`) at 64 connections with hand-written servers: Hono with onnxruntime-node, and FastAPI
 * with onnxruntime. The same model, the same JSON, one process each. `npm run bench -- origin-load`
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { findFreePort, root } from '../scripts/dev-server.ts';
import { startOrigin } from '../scripts/origin-server.ts';
import { ensurePythonEnvironment } from '../scripts/python-environment.ts';
import { trustedPublishers } from '../test/support/publisher.ts';
import { jsonBody, randomInput } from './bodies.ts';
import { Connection, requestBytes } from './load.ts';
import { quantiles } from './quantiles.ts';
import { formatFigure, publish } from './report.ts';
import { adminKey, runEdgewise, temporaryFolder } from './workerd.ts';

const connections = 64;
const secondsPerRound = 4;
const rounds = 3;
const model = join(root, 'models/mlp/1/model.onnx');
const path = '/v2/models/mlp/infer';
const body = jsonBody(randomInput('input', [1, 10]));

interface Server {
  readonly name: string;
  readonly url: URL;
  readonly stop: () => Promise<void>;
}

async function startEdgewise(): Promise<Server> {
  const origin = await startOrigin({
    vars: {
      EDGEWISE_REPOSITORY_DIR: temporaryFolder('origin-load'),
      EDGEWISE_ADMIN_KEY_SHA256: createHash('sha256').update(adminKey).digest('hex'),
      EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
      EDGEWISE_OPEN_MODELS: '*',
      EDGEWISE_EXECUTION_PROVIDERS: 'cpu',
    },
  });
  const url = new URL(origin.url);
  await runEdgewise(url, ['model', 'push', 'models/mlp', '--alias', 'stable']);
  return { name: 'Edgewise origin', url, stop: () => origin.stop() };
}

/** @throws Error if the server does not answer within half a minute. */
async function startByHand(name: string, program: string, ...args: readonly string[]): Promise<Server> {
  const port = await findFreePort();
  const child = spawn(program, [...args, model, String(port)], { stdio: ['ignore', 'ignore', 'inherit'] });
  const url = new URL(`http://127.0.0.1:${port}`);
  const stop = () => stopChild(child);
  const untilMs = performance.now() + 30_000;
  while (!(await isAnswering(url))) {
    if (child.exitCode !== null || performance.now() > untilMs) {
      await stop();
      throw new Error(`${name} did not start`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { name, url, stop };
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill();
  await ended;
}

async function isAnswering(url: URL): Promise<boolean> {
  const answer = await fetch(new URL(path, url), { method: 'POST', ...requestInit() }).catch(() => undefined);
  return answer?.ok === true;
}

function requestInit(): { readonly body: string; readonly headers: Record<string, string> } {
  return { body: new TextDecoder().decode(body.body), headers: { ...body.headers } };
}

interface Round {
  readonly server: string;
  readonly perSecond: number;
  /** Percentage of requests that were not answered with 200. */
  readonly refused: number;
  readonly p50: number;
  readonly p99: number;
}

/** Each connection sends its next request when the last one is answered, whatever the status. */
async function measureLoad({ name, url }: Server, seconds: number): Promise<Round> {
  const open = await Promise.all(Array.from({ length: connections }, () => Connection.open(url)));
  const request = requestBytes(url, path, body);
  const latenciesMs: number[] = [];
  let refused = 0;
  const beginMs = performance.now();
  await Promise.all(
    open.map(async (connection) => {
      while (performance.now() - beginMs < seconds * 1000) {
        const { status, ms, body: answer } = await connection.send(request);
        if (status === 200) latenciesMs.push(ms);
        else {
          if (refused === 0) console.log(`${name}: ${status} ${answer.toString()}`);
          refused += 1;
        }
      }
    }),
  );
  const took = (performance.now() - beginMs) / 1000;
  for (const connection of open) connection.close();
  const { p50, p99 } = quantiles(latenciesMs);
  const total = latenciesMs.length + refused;
  return { server: name, perSecond: latenciesMs.length / took, refused: (100 * refused) / total, p50, p99 };
}

const python = await ensurePythonEnvironment({
  folder: join(root, '.venv-bench'),
  requirements: join(import.meta.dirname, 'origin-load/requirements.txt'),
});
const starts: readonly (() => Promise<Server>)[] = [
  startEdgewise,
  () =>
    startByHand(
      'Hono, onnxruntime-node',
      process.execPath,
      join(import.meta.dirname, 'origin-load/hono-server.ts'),
    ),
  () =>
    startByHand('FastAPI, onnxruntime', python, join(import.meta.dirname, 'origin-load/fastapi_server.py')),
];
const results: Round[] = [];
for (let round = 0; round < rounds; round += 1) {
  // One server at a time, because they would share the cores.
  for (const start of starts) {
    const server = await start();
    try {
      // Measured from the first request on: a server must not refuse requests while it warms up.
      const measured = await measureLoad(server, secondsPerRound);
      console.log(
        `${server.name}: ${Math.round(measured.perSecond)} per second, ${measured.refused} % refused`,
      );
      results.push(measured);
    } finally {
      await server.stop();
    }
  }
}

const names = [...new Set(results.map(({ server }) => server))];
const middle = (server: string, of: (round: Round) => number) =>
  quantiles(results.filter((round) => round.server === server).map(of)).p50;

publish({
  name: 'origin-load',
  tables: [
    {
      columns: ['server', 'connections', 'requests per second', 'refused, %', 'p50, ms', 'p99, ms'],
      rows: names.map((name) => [
        name,
        connections,
        Math.round(middle(name, ({ perSecond }) => perSecond)),
        // The worst round counts: one refused request is one too many.
        formatFigure(
          Math.max(...results.filter(({ server }) => server === name).map(({ refused }) => refused)),
        ),
        formatFigure(middle(name, ({ p50 }) => p50)),
        formatFigure(middle(name, ({ p99 }) => p99)),
      ]),
    },
  ],
  raw: results,
});
