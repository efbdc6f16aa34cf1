/** A page of another origin calls the worker from a real browser, which sends preflights and withholds what the page may not read. */
import { spawnSync } from 'node:child_process';
import { createServer, request, type Server } from 'node:http';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type DevServer, root } from '../../scripts/dev-server.ts';
import { startService } from '../support/dev-service.ts';
import { startChromium } from './chromium.ts';

let pages: Server;
let permitted: string;
let stranger: string;
let service: DevServer;
let browser: Browser;
/** A proxy in front of the service that records the browser's own requests. */
let front: Server;
let address: string;
/** Methods that the browser sent preflights for. */
const preflights: string[] = [];

function startFront(): Server {
  return createServer((incoming, outgoing) => {
    const { headers, method, url } = incoming;
    if (method === 'OPTIONS') preflights.push(String(headers['access-control-request-method']));
    const onward = request(new URL(url ?? '/', service.url), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
}

async function listenAnywhere(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : 0;
}

beforeEach(() => {
  preflights.length = 0;
});

beforeAll(async () => {
  pages = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>A page of another origin</title>');
  });
  const port = await listenAnywhere(pages);
  // Two host names of one machine are two origins.
  permitted = `http://localhost:${port}`;
  stranger = `http://127.0.0.1:${port}`;
  [browser, service] = await Promise.all([
    startChromium(),
    startService({ vars: { EDGEWISE_CORS_ORIGINS: permitted } }),
  ]);
  front = startFront();
  address = `http://127.0.0.1:${await listenAnywhere(front)}`;
  const push = spawnSync(
    process.execPath,
    [join(root, 'bin/edgewise.js'), 'model', 'push', 'models/mlp', '--url', service.url],
    {
      cwd: root,
      encoding: 'utf8',
      env: {
        ...process.env,
        EDGEWISE_ADMIN_KEY: service.adminKey,
        EDGEWISE_PUBLISHER_KEY: service.publisherKey,
      },
    },
  );
  expect([push.status, push.status === 0 ? '' : push.stderr]).toEqual([0, '']);
});

afterAll(async () => {
  await Promise.all([browser?.close(), service?.stop()]);
  pages?.close();
  front?.close();
});

const answerSchema = z.object({
  status: z.number(),
  headers: z.record(z.string(), z.string()),
  text: z.string(),
});
type Answer = z.output<typeof answerSchema>;

interface Asked {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Sends the request from the page. The answer holds only what the page may read. */
async function ask(page: Page, { path, ...init }: Asked): Promise<Answer | { readonly failed: string }> {
  const answer: unknown = await page.evaluate(
    async ({ url, request }) => {
      try {
        const response = await fetch(url, request);
        return {
          status: response.status,
          headers: Object.fromEntries(response.headers),
          text: await response.text(),
        };
      } catch (error) {
        return { failed: String(error) };
      }
    },
    { url: `${address}${path}`, request: init },
  );
  const read = answerSchema.safeParse(answer);
  return read.success ? read.data : z.object({ failed: z.string() }).parse(answer);
}

async function open(origin: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(origin);
  return page;
}

const input = { name: 'input', datatype: 'FP32', shape: [1, 10] };
const jsonBody = JSON.stringify({ inputs: [{ ...input, data: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }] });
const infer = { path: '/v2/models/mlp/infer', method: 'POST' };
const ours = {
  'Content-Type': 'application/json',
  'Edgewise-Tier': 'edge',
  'Edgewise-Purpose': 'research',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
};

describe('a page of a permitted origin', () => {
  it('calls infer with our headers after a preflight, and reads the answer and its headers', async () => {
    const page = await open(permitted);
    const answer = await ask(page, { ...infer, headers: ours, body: jsonBody });
    expect(answer).toMatchObject({
      status: 200,
      headers: {
        'edgewise-tier': 'edge',
        'edgewise-model': expect.stringMatching(/^mlp@1; digest=sha256:/),
        'edgewise-receipt': expect.any(String),
        'server-timing': expect.stringContaining('run;dur='),
        traceparent: expect.stringContaining('0af7651916cd43dd8448eb211c80319c'),
        'x-request-id': expect.any(String),
      },
    });
    expect(preflights).toEqual(['POST']);
  });

  it('sends and reads binary tensors, which need a header of their own', async () => {
    const page = await open(permitted);
    const json = JSON.stringify({
      inputs: [{ ...input, parameters: { binary_data_size: 40 } }],
      parameters: { binary_data_output: true },
    });
    const headers = { 'Inference-Header-Content-Length': String(json.length) };
    const answer = await ask(page, { ...infer, headers, body: json + '\0'.repeat(40) });
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'inference-header-content-length': expect.stringMatching(/^\d+$/) },
    });
  });

  it('reads why a request was refused', async () => {
    const page = await open(permitted);
    expect(await ask(page, { ...infer, headers: ours, body: '{' })).toMatchObject({
      status: 400,
      headers: { 'edgewise-error': 'invalid_request' },
      text: expect.stringContaining('not valid JSON'),
    });
    expect(
      await ask(page, { path: '/admin/models', headers: { Authorization: 'Bearer none' } }),
    ).toMatchObject({
      status: 401,
      headers: { 'www-authenticate': 'Bearer' },
    });
  });

  it('may use every method', async () => {
    const page = await open(permitted);
    const headers = { Authorization: `Bearer ${service.adminKey}`, 'Content-Type': 'application/json' };
    const tenant = JSON.stringify({ id: 'acme', name: 'Acme' });
    expect(await ask(page, { path: '/admin/tenants', method: 'POST', headers, body: tenant })).toMatchObject({
      status: 201,
    });
    const status = {
      path: '/admin/tenants/acme/status',
      method: 'PUT',
      headers,
      body: '{"status":"suspended"}',
    };
    expect(await ask(page, status)).toMatchObject({ status: 200 });
    expect(await ask(page, { path: '/admin/models/none', method: 'DELETE', headers })).toMatchObject({
      status: 200,
    });
    expect(preflights).toEqual(['POST', 'PUT', 'DELETE']);
  });
});

describe('a page of another origin', () => {
  it('is stopped by the preflight, and cannot read answers that need no preflight', async () => {
    const page = await open(stranger);
    const failed = { failed: expect.stringContaining('Failed to fetch') };
    expect(await ask(page, { ...infer, headers: ours, body: jsonBody })).toEqual(failed);
    expect(preflights).toEqual(['POST']);
    expect(await ask(page, { path: '/v2/models/mlp' })).toEqual(failed);
  });
});
