import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { EdgewiseError } from '../../src/errors.ts';
import type { EndpointConfig } from '../../src/routing/endpoint-config.ts';
import { type PassThroughRequest, passThroughAttempt } from '../../src/routing/pass-through.ts';
import type { AttemptContext } from '../../src/routing/types.ts';
import { failureOf } from './attempts.ts';
import { contextOf, endpointAt, json, startRawServer, startServer } from './servers.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const chat: PassThroughRequest = {
  method: 'POST',
  path: () => '/v1/chat/completions',
  headers: { 'Content-Type': 'application/json' },
  body: bytes('{"stream":true}'),
  requestId: 'request-1',
};

interface Send extends Partial<PassThroughRequest> {
  readonly url: string;
  readonly config?: Partial<EndpointConfig>;
  readonly context?: Partial<AttemptContext>;
}

function send({ url, config, context, ...request }: Send) {
  const endpoint = endpointAt(url, { protocol: 'openai', ...config });
  return passThroughAttempt({ ...chat, ...request })(endpoint, contextOf(context));
}

/** Starts a server whose events the test writes, and which reports whether its reader is gone. */
async function eventServer() {
  let answer: (response: ServerResponse) => void;
  const answering = new Promise<ServerResponse>((resolve) => {
    answer = resolve;
  });
  const { url } = await startServer((_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.flushHeaders();
    answer(response);
  });
  return { url, answering };
}

function readerOf(response: Response) {
  if (response.body === null) throw new Error('the answer has no body');
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  return {
    next: async () => decoder.decode((await reader.read()).value, { stream: true }),
    cancel: () => reader.cancel(),
  };
}

describe('passThroughAttempt()', () => {
  it('passes on method, path, chosen headers and body, with the request id', async () => {
    const server = await startServer((_, response) => json(response, 200, {}));
    await send({
      url: `${server.url}/base`,
      traceparent: 'the-trace',
      context: { remainingMs: 900 },
    });
    expect(server.received).toMatchObject([
      {
        method: 'POST',
        url: '/base/v1/chat/completions',
        headers: {
          'content-type': 'application/json',
          authorization: 'Bearer origin-key',
          'x-request-id': 'request-1',
          traceparent: 'the-trace',
          'edgewise-timeout-ms': '900',
        },
        body: chat.body,
      },
    ]);
  });

  it("builds the path with the endpoint's own names", async () => {
    const server = await startServer((_, response) => json(response, 200, {}));
    await send({
      url: server.url,
      method: 'GET',
      body: undefined,
      config: { modelNames: { m: 'theirs' } },
      path: ({ modelNames }) => `/v1/models/${modelNames['m']}`,
    });
    expect(server.received).toMatchObject([{ method: 'GET', url: '/v1/models/theirs' }]);
  });

  it('passes on only some headers of the answer, and reads its load report', async () => {
    const server = await startServer((_, response) =>
      json(response, 200, '{"a":1}', {
        'Retry-After': '3',
        'Inference-Header-Content-Length': '7',
        'Set-Cookie': 'a=b',
        Server: 'inside',
        'X-Internal-Host': 'gpu-7',
        'endpoint-load-metrics': 'TEXT cpu_utilization=0.25',
      }),
    );
    const { value, load } = await send({ url: server.url });
    expect(Object.fromEntries(value.headers)).toEqual({
      'content-type': 'application/json',
      'retry-after': '3',
      'inference-header-content-length': '7',
    });
    expect(value.status).toBe(200);
    expect(await value.json()).toEqual({ a: 1 });
    expect(load).toEqual({ utilisation: 0.25 });
  });

  it('streams a body once, as it arrives', async () => {
    const seen: string[] = [];
    let arrived: (() => void) | undefined;
    const url = await startRawServer(async (request, response) => {
      for await (const chunk of request) {
        seen.push(String(chunk));
        arrived?.();
      }
      json(response, 200, {});
    });
    let source: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        source = controller;
      },
    });
    const attempt = send({ url, body });
    for (const part of ['one', 'two']) {
      const here = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      source?.enqueue(bytes(part));
      await here;
    }
    source?.close();
    expect((await attempt).value.status).toBe(200);
    expect(seen).toEqual(['one', 'two']);
  });

  it('does not wait for the rest of a body that the endpoint has refused', async () => {
    const url = await startRawServer((_, response) => json(response, 503, { error: 'full' }));
    const body = new ReadableStream<Uint8Array>({ start: (source) => source.enqueue(bytes('one')) });
    expect(await failureOf(send({ url, body }))).toMatchObject({ outcome: 'model-failure' });
  });

  it("returns the caller's error if its upload broke off, and counts no failure of the endpoint", async () => {
    const url = await startRawServer((request) => request.resume());
    const fault = new EdgewiseError('body_timeout', 'the body stopped');
    const limits: number[] = [];
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(fault);
      },
    });
    const upload = { limitTo: (ms: number) => limits.push(ms), fault };
    await expect(send({ url, body, upload, context: { remainingMs: 1000 } })).rejects.toBe(fault);
    expect(limits).toEqual([800]);
  });

  it.each<[number, string, string]>([
    [301, 'failure', 'answered 301'],
    [401, 'failure', 'answered 401, with a text of 2 characters'],
    [404, 'lacks-model', 'answered 404, with a text of 2 characters'],
    [429, 'busy', 'answered 429, with a text of 2 characters'],
    [500, 'model-failure', 'answered 500, with a text of 2 characters'],
    [503, 'model-failure', 'answered 503, with a text of 2 characters'],
  ])('lets another endpoint try after status %d', async (status, outcome, reason) => {
    const server = await startServer((_, response) =>
      json(response, status, status === 301 ? '' : { error: 'no' }),
    );
    expect(await failureOf(send({ url: server.url }))).toMatchObject({ outcome, reason });
  });

  it("returns the endpoint's own error about the request to an OpenAI client", async () => {
    const body = { error: { message: 'no such thing', type: 'invalid', param: 'x', code: null } };
    const server = await startServer((_, response) => json(response, 400, body));
    const { value } = await send({ url: server.url });
    expect(value.status).toBe(400);
    expect(await value.json()).toEqual(body);
  });

  it('throws the error about a request of the Open Inference Protocol', async () => {
    const server = await startServer((_, response) => json(response, 400, { error: 'no such input' }));
    await expect(send({ url: server.url, config: { protocol: 'oip' } })).rejects.toMatchObject({
      code: 'invalid_request',
      message: 'no such input',
    });
  });

  it('aborts the request to the endpoint if the attempt is aborted before the head', async () => {
    const controller = new AbortController();
    let gone: Promise<unknown> | undefined;
    const server = await startServer((_, response) => {
      gone = once(response, 'close');
      controller.abort(new Error('too late'));
    });
    expect(await failureOf(send({ url: server.url, context: { signal: controller.signal } }))).toMatchObject({
      outcome: 'failure',
      reason: expect.stringContaining('too late'),
    });
    await gone;
  });
});

describe('a stream that passes through', () => {
  it('passes events on in order, each when it is complete', async () => {
    const { url, answering } = await eventServer();
    const { value } = await send({ url });
    const upstream = await answering;
    const reader = readerOf(value);
    expect(value.headers.get('content-type')).toBe('text/event-stream');
    upstream.write('data: 1\n\ndata: 2\n\nda');
    expect(await reader.next()).toBe('data: 1\n\ndata: 2\n\n');
    upstream.write('ta: 3\n');
    const third = reader.next();
    upstream.write('\n');
    expect(await third).toBe('data: 3\n\n');
    upstream.end('data: [DONE]\n\n');
    expect(await reader.next()).toBe('data: [DONE]\n\n');
    expect(await reader.next()).toBe('');
  });

  it("continues after the attempt's timeout", async () => {
    const { url, answering } = await eventServer();
    const controller = new AbortController();
    const { value } = await send({ url, context: { signal: controller.signal } });
    const upstream = await answering;
    controller.abort();
    upstream.end('data: 1\n\n');
    expect(await value.text()).toBe('data: 1\n\n');
  });

  it.each(['text/event-stream', 'application/octet-stream'])(
    'slows the endpoint down while the caller does not read: %s',
    async (contentType) => {
      const chunk = Buffer.from(`data: ${'x'.repeat(65_528)}\n\n`);
      const total = 1024;
      let written = 0;
      const { url } = await startServer(async (_, response) => {
        response.writeHead(200, { 'Content-Type': contentType });
        for (; written < total; written += 1) {
          if (!response.write(chunk)) await once(response, 'drain');
        }
        response.end();
      });
      const { value } = await send({ url });
      // Enough time to write all of it if the reader took it.
      for (let turn = 0; turn < 20 * total; turn += 1) await setImmediate();
      expect(written).toBeLessThan(total / 2);
      expect((await value.arrayBuffer()).byteLength).toBe(total * chunk.byteLength);
      expect(written).toBe(total);
    },
  );

  it('cancels the request to the endpoint when its reader cancels', async () => {
    const { url, answering } = await eventServer();
    const { value } = await send({ url });
    const upstream = await answering;
    const gone = once(upstream, 'close');
    const reader = readerOf(value);
    upstream.write('data: 1\n\n');
    await reader.next();
    await reader.cancel();
    await gone;
    expect(upstream.writableFinished).toBe(false);
  });

  it('cancels the request to the endpoint when its caller leaves, without an error event', async () => {
    const { url, answering } = await eventServer();
    const controller = new AbortController();
    const broken: unknown[] = [];
    const { value } = await send({ url, signal: controller.signal, onBroken: (error) => broken.push(error) });
    const upstream = await answering;
    const gone = once(upstream, 'close');
    const reader = readerOf(value);
    upstream.write('data: 1\n\n');
    await reader.next();
    const next = reader.next();
    controller.abort(new Error('the caller left'));
    await expect(next).rejects.toThrow('the caller left');
    await gone;
    expect(broken).toEqual([]);
  });

  it('releases the endpoint if the answer is not used', async () => {
    const { url, answering } = await eventServer();
    const { discard } = await send({ url });
    const gone = once(await answering, 'close');
    discard?.();
    await gone;
  });

  it("ends broken events with an error in OpenAI's form, after the last complete one", async () => {
    const { url, answering } = await eventServer();
    const broken: unknown[] = [];
    const { value } = await send({ url, onBroken: (error) => broken.push(error) });
    const upstream = await answering;
    upstream.write('data: {"n":1}\n\ndata: {"n":2', () => upstream.destroy());
    const [first, last, ...rest] = (await value.text()).split('\n\n');
    expect(first).toBe('data: {"n":1}');
    expect(JSON.parse(last?.replace(/^data: /, '') ?? '')).toEqual({
      error: {
        message: 'the origin server broke off in the middle of the answer',
        type: 'server_error',
        param: null,
        code: 'origin_unavailable',
      },
    });
    expect(rest).toEqual(['']);
    expect(broken).toHaveLength(1);
  });

  it('fails if any other body breaks off', async () => {
    const server = await startServer((_, response) => {
      response.writeHead(200, { 'Content-Type': 'application/octet-stream' });
      response.write('half', () => response.destroy());
    });
    const { value } = await send({ url: server.url });
    await expect(value.arrayBuffer()).rejects.toThrow();
  });
});
