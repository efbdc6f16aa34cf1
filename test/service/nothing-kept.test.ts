/**
 * No content of a request or an answer is stored: a marker is sent through every route of a real worker and a real origin,
 * on every path that leads to an answer or a refusal, and then everything written anywhere is searched for it.
 *
 * The only part of a request that is written is `X-Request-Id`, which a caller chooses to find its request in the logs. It
 * is one of the controls: each shows that the search finds what is there.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import {
  type DevServer,
  ensureLocalAdminKey,
  findFreePort,
  startDevServer,
} from '../../scripts/dev-server.ts';
import { generateCallerKey, type OriginServer, startOrigin } from '../../scripts/origin-server.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { createAccountClient } from '../../src/client/account-client.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { identityModel, model, node, pairModel, value } from '../support/onnx-models.ts';
import {
  everywhere,
  numberInferences,
  type Sent,
  streamedInference,
  textInferences,
} from './kept-requests.ts';
import { filesUnder, formsOf, type Hit, newMarker, type Sink, search } from './kept-search.ts';
import { writeModelFolder } from './model-folders.ts';

const marker = newMarker('kept');
/** The controls: markers put into each place on purpose. */
const control = newMarker('control');

const folder = mkdtempSync(join(tmpdir(), 'edgewise-kept-'));
const persistTo = join(folder, 'worker');
const cacheDirectory = join(folder, 'origin');
const mebibyte = 1024 * 1024;

let worker: DevServer;
let origin: OriginServer;
let rude: Server;
let tenantKey = '';
let workerOutput = '';
let originOutput = '';
/** Ids of receipts that callers received. */
const receipts: string[] = [];
const statuses = new Map<number, number>();
const reached = new Set<string>();
const answers: Sink[] = [];
let written: readonly Sink[] = [];

/** A foreign origin that repeats its request wherever an answer can hold it. */
async function startRude(): Promise<string> {
  const said = `${marker.text} ${marker.whole[0]}`;
  const headers = {
    'Server-Timing': `${marker.text};dur=1`,
    'endpoint-load-metrics': `JSON {"${marker.text}":1}`,
    'Edgewise-Error': marker.text,
    'X-Anything': marker.text,
  };
  rude = createServer(async (request, response) => {
    const { url = '' } = request;
    for await (const _ of request);
    reached.add(url);
    if (url === '/v2') return void response.end('{"name":"triton","extensions":["binary_tensor_data"]}');
    if (url.includes('breaks')) {
      response.writeHead(200, { ...headers, 'Content-Length': 1000 });
      response.write(`{"outputs":[{"name":"${said}`);
      return void setTimeout(() => response.destroy(), 10);
    }
    const output = { name: 'y', datatype: marker.text, shape: [1], data: [said] };
    const [status, body] = url.includes('refuses')
      ? [400, { error: `cannot take ${said}` }]
      : url.includes('babbles')
        ? [200, { [said]: said, outputs: [output] }]
        : url.includes('busy')
          ? [429, { detail: [{ loc: ['body', said], msg: said }] }]
          : [500, { error: `failed on ${said}` }];
    response.writeHead(status, said.slice(0, 20), { ...headers, 'Content-Type': 'application/json' });
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => rude.listen(0, '127.0.0.1', resolve));
  const address = rude.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
}

const gatherModel = {
  graph: model({
    node: [node('Gather', ['x', 'at'], ['y'])],
    input: [value('x', 'FP32', ['count']), value('at', 'INT64', ['picked'])],
    output: [value('y', 'FP32', ['picked'])],
  }),
};
const words = identityModel('BYTES', ['count']);
const rudeModels = ['rude-fails', 'rude-refuses', 'rude-babbles', 'rude-busy', 'rude-breaks'];

beforeAll(async () => {
  mkdirSync(cacheDirectory, { recursive: true });
  const port = await findFreePort();
  const key = generateCallerKey();
  origin = await startOrigin({
    key,
    upstream: { url: `http://127.0.0.1:${port}`, adminKey: ensureLocalAdminKey() },
    cacheDirectory,
    vars: { EDGEWISE_EXECUTION_PROVIDERS: 'cpu', EDGEWISE_LOG: 'all', EDGEWISE_THREADS: '1' },
    onOutput: (text) => {
      originOutput += text;
    },
  });
  const rudeUrl = await startRude();
  const auth = { bearerSecret: 'EDGEWISE_TEST_ORIGIN_KEY' };
  worker = await startDevServer({
    port,
    persistTo,
    vars: {
      EDGEWISE_LOG: 'all',
      EDGEWISE_MAX_REPLAY_MIB: '1',
      EDGEWISE_MAX_STREAMED_MIB: '17',
      EDGEWISE_CORS_ORIGINS: '*',
      EDGEWISE_EDGE_BUDGET_MS: '60000',
      EDGEWISE_EDGE_WAIT_MS: '60000',
      EDGEWISE_ORIGIN_POOL: JSON.stringify([
        // Each is an endpoint of its own, because failures of one would eject a shared endpoint before the others are tried.
        ...[...rudeModels, 'retried-text'].map((name) => ({
          name,
          url: rudeUrl,
          models: [name],
          weight: 100,
        })),
        {
          name: 'origin',
          url: origin.url,
          models: ['kept-text', 'far-text', 'far-gather', 'retried-text'],
          auth,
        },
      ]),
    },
    secrets: { EDGEWISE_TEST_ORIGIN_KEY: key },
    output: 'log',
    onOutput: (text) => {
      workerOutput += text;
    },
  });
  await push('kept-text', words.graph);
  await push('kept-numbers', pairModel().graph);
  const samples = { sampleShapes: { x: [4], at: [1] }, sampleValues: { at: 0 } };
  await push('kept-gather', gatherModel.graph, samples);
  await push('far-gather', gatherModel.graph, { ...samples, tier: 'origin' });
  for (const name of ['far-text', 'retried-text', ...rudeModels])
    await push(name, words.graph, { tier: 'origin' });
  const admin = createAdminClient({ url: worker.url, key: worker.adminKey });
  await admin.setShadow('kept-text', 'stable', { version: '1', tier: 'origin', percent: 100 });
  const accounts = createAccountClient({ url: worker.url, key: worker.adminKey });
  await accounts.createTenant({ id: 'tenant', name: control.text });
  tenantKey = (await accounts.createKey('tenant')).text;
}, 400_000);

async function push(name: string, graph: Uint8Array, config: object = {}): Promise<void> {
  const place = join(folder, 'models', name);
  writeModelFolder(place, graph, { name, config: { ...config, description: control.text } });
  await pushModel(place, { ...worker, aliases: ['stable'] });
}

afterAll(async () => {
  rude?.closeAllConnections();
  rude?.close();
  await Promise.all([worker?.stop(), origin?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

async function send({ method, path, headers, body }: Sent): Promise<Response> {
  const answer = await fetch(`${worker.url}${path}`, {
    method: method.toUpperCase(),
    ...(headers && { headers }),
    ...(body === undefined ? {} : { body }),
  });
  await answer.arrayBuffer().catch(() => undefined);
  statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
  const receipt = answer.headers.get('Edgewise-Receipt')?.split('.')[1];
  if (receipt)
    receipts.push(
      z.object({ id: z.string() }).parse(JSON.parse(Buffer.from(receipt, 'base64url').toString())).id,
    );
  return answer;
}

/** Disconnects in the middle of its own body. */
async function leave(path: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const leaving = httpRequest(`${worker.url}${path}`, {
      method: 'POST',
      headers: { 'Content-Length': 100_000, 'Content-Type': 'application/json' },
    });
    leaving.on('error', () => undefined);
    leaving.on('close', () => resolve());
    leaving.write(`{"id":"${marker.text}","inputs":[{"name":"${marker.text}"`);
    setTimeout(() => leaving.destroy(), 50);
  });
}

/** Returns the output of the worker and its tools, without the tools' own request lines, which a deployed worker does not have. */
function ofWorker(output: string): Buffer {
  return Buffer.from(output.replaceAll(/^.*\[wrangler:info\].*$/gm, ''));
}

describe('no content of a request or an answer is stored', () => {
  it('after a marker went through every route on every path', { timeout: 400_000 }, async () => {
    const keys = { admin: worker.adminKey, tenant: tenantKey };
    for (const sent of await everywhere(worker.url, marker, keys)) await send(sent);
    for (const name of ['kept-text', 'far-text', 'retried-text', ...rudeModels]) {
      for (const sent of textInferences(name, marker)) await send(sent);
    }
    for (const gather of ['kept-gather', 'far-gather']) {
      for (const sent of numberInferences('kept-numbers', gather, marker)) await send(sent);
    }
    for (const name of ['far-text', 'retried-text', ...rudeModels]) {
      await send(streamedInference(name, marker, 1.5 * mebibyte));
    }
    await send(streamedInference('kept-text', marker, 20 * mebibyte));
    for (const name of ['kept-text', 'far-text']) await leave(`/v2/models/${name}/infer`);

    // The controls, and a wait for the rounds of the log to end.
    const named = { 'X-Request-Id': control.text };
    await send({ method: 'post', path: '/v2/models/kept-text/infer', headers: named, body: '{' });
    const beyond = [
      { name: 'x', datatype: 'FP32', shape: [1], data: [1] },
      { name: 'at', datatype: 'INT64', shape: [1], data: [9] },
    ];
    await send({
      method: 'post',
      path: '/v2/models/far-gather/infer',
      headers: named,
      body: JSON.stringify({ inputs: beyond }),
    });
    const last = await send({
      method: 'post',
      path: '/v2/models/kept-text/infer',
      headers: { Prefer: 'receipt=logged' },
      body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'BYTES', shape: [1], data: ['x'] }] }),
    });
    expect(last.headers.get('Edgewise-Receipt-Proof')).not.toBeNull();

    // Every path was taken.
    for (const status of [200, 400, 401, 403, 404, 413, 415, 429, 503])
      expect([...statuses.keys()]).toContain(status);
    for (const name of [...rudeModels, 'retried-text']) {
      expect(
        [...reached].some((url) => url.includes(name)),
        name,
      ).toBe(true);
    }
    const shadows = () => fetchAdmin('/admin/models/kept-text/shadows');
    await vi.waitFor(async () => expect(await shadows()).toMatch(/"sent":[1-9]/));

    for (const path of [
      ...[
        '/v2',
        '/v2/models',
        '/v2/models/stats',
        '/v2/health/ready',
        '/openapi.json',
        '/docs',
        '/.well-known/privacy',
      ],
      ...['/.well-known/jwks.json', '/v2/models/kept-text/config', '/v2/models/far-text/stats'],
      ...['/admin/pool', '/admin/models', '/admin/models/kept-text', '/admin/models/kept-text/shadows'],
      ...[
        '/admin/tenants',
        '/admin/tenants/tenant',
        '/admin/tenants/tenant/keys',
        '/admin/tenants/tenant/export',
      ],
      ...['/admin/stops', '/admin/packs'],
    ]) {
      answers.push({ name: `GET ${path}`, bytes: Buffer.from(await fetchAdmin(path)) });
    }
    answers.push({
      name: 'statistics of the origin',
      bytes: Buffer.from(await fetchOrigin('/v2/models/stats')),
    });
    await Promise.all([worker.stop(), origin.stop()]);
    written = [
      { name: 'output of the worker', bytes: ofWorker(workerOutput) },
      { name: 'output of the origin', bytes: Buffer.from(originOutput) },
      ...filesUnder(persistTo, 'worker'),
      ...filesUnder(cacheDirectory, 'origin'),
      ...answers,
    ];
    const hits = search(written, marker);
    expect(hits.map(formatHit)).toEqual([]);
  });

  const found = (name: RegExp) =>
    new Set(
      search(
        written.filter((sink) => name.test(sink.name)),
        control,
      ).map(({ sink }) => sink),
    );

  it.each([
    ['output of the worker', /^output of the worker$/],
    ['output of the origin', /^output of the origin$/],
    ['R2, models', /^worker\/v3\/r2\/edgewise-models/],
    ['R2, records', /^worker\/v3\/r2\/edgewise-records/],
    ['KV', /^worker\/v3\/kv\//],
    ['Cache API', /^worker\/v3\/cache\//],
    ['what the origin keeps', /^origin\//],
    ['answers to admins', /^GET \/admin\/tenants$/],
  ])('and the search finds the control in %s', (_, name) => {
    expect(written.filter((sink) => name.test(sink.name)).map((sink) => sink.name)).not.toEqual([]);
    expect([...found(name)]).not.toEqual([]);
  });

  it('and the search finds the control in Durable Objects', () => {
    const objects = written.filter(({ name }) => name.startsWith('worker/v3/do/'));
    const id = receipts.at(-1) ?? expect.fail('no receipt');
    const forms = [Buffer.from(id), Buffer.from(id.replaceAll('-', ''), 'hex')];
    expect(objects.filter(({ bytes }) => forms.some((form) => bytes.includes(form)))).not.toEqual([]);
  });

  it('and the search finds a marker in each of its forms', () => {
    for (const [form, bytes] of formsOf(control)) {
      const sink = { name: form, bytes: Buffer.concat([Buffer.from('x'), bytes, Buffer.from('y')]) };
      expect(search([sink], control).map((hit) => hit.form)).toContain(form);
      expect(search([sink], marker)).toEqual([]);
    }
    const around = (bytes: Buffer) => Buffer.concat([Buffer.from('page'), bytes, Buffer.from('page')]);
    for (const compress of [gzipSync, deflateSync]) {
      const bytes = around(compress(`x${control.text}y`));
      expect(search([{ name: compress.name, bytes }], control)).not.toEqual([]);
    }
    for (let shift = 0; shift < 9; shift += 1) {
      const base64 = Buffer.from(Buffer.from(`${'-'.repeat(shift)}${control.text}--`).toString('base64'));
      expect(search([{ name: 'base64', bytes: base64 }], control)).not.toEqual([]);
    }
  });
});

function formatHit({ sink, form, excerpt }: Hit): string {
  return `${sink}, ${form}: ${excerpt}`;
}

async function fetchAdmin(path: string): Promise<string> {
  const headers = { authorization: `Bearer ${worker.adminKey}` };
  return (await fetch(`${worker.url}${path}`, { headers })).text();
}

async function fetchOrigin(path: string): Promise<string> {
  const headers = { authorization: `Bearer ${origin.key}` };
  return (await fetch(`${origin.url}${path}`, { headers })).text();
}
