/** Requirements of an origin on Node's HTTP server and its adapter to the app. */
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type HttpServer, listen } from '../../src/platform/node-server.ts';

let server: HttpServer;
afterEach(() => server?.close());

const serve = async (fetch: (request: Request) => Response | Promise<Response>) => {
  server = await listen(fetch, { host: '127.0.0.1', port: 0 });
};

describe('listen()', () => {
  it('passes on bodies and answers of many megabytes byte for byte', async () => {
    await serve(async (request) => new Response(await request.arrayBuffer()));
    const body = Uint8Array.from({ length: 20_000_001 }, (_, index) => index * 31);
    const answer = await fetch(server.url, { method: 'POST', body });
    expect(answer.headers.get('content-length')).toBe(String(body.length));
    expect(Buffer.compare(new Uint8Array(await answer.arrayBuffer()), body)).toBe(0);
  });

  it.each(['GET', 'POST'])('aborts the signal of a %s whose caller leaves', async (method) => {
    const arrived = Promise.withResolvers<AbortSignal>();
    await serve(async (request) => {
      await request.arrayBuffer();
      arrived.resolve(request.signal);
      await new Promise((resolve) => request.signal.addEventListener('abort', resolve));
      return new Response('not received');
    });
    const leaving = new AbortController();
    const body = method === 'GET' ? null : new Uint8Array(100_000);
    const asked = fetch(server.url, { method, body, signal: leaving.signal });
    const signal = await arrived.promise;
    expect(signal.aborted).toBe(false);
    leaving.abort();
    await expect(asked).rejects.toThrow();
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve());
    });
  });

  it('sends a stream as it is produced, no faster than it is read, and cancels it when its caller leaves', async () => {
    const pieceBytes = 64 * 1024;
    let pulled = 0;
    const cancelled = Promise.withResolvers<void>();
    await serve(
      ({ url }) =>
        new Response(
          url.endsWith('/other')
            ? null
            : new ReadableStream({
                pull(controller) {
                  pulled += 1;
                  controller.enqueue(new Uint8Array(pieceBytes));
                },
                cancel: () => cancelled.resolve(),
              }),
        ),
    );
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: origin\r\n\r\n');
    // Only one chunk is read: what is pulled fills the buffers at both ends and then stops.
    await new Promise((resolve) => socket.once('data', resolve));
    socket.pause();
    let before = 0;
    while (before !== pulled) {
      before = pulled;
      await fetch(`${server.url}/other`);
    }
    expect(pulled * pieceBytes).toBeLessThan(64 * 1024 * 1024);
    socket.destroy();
    await cancelled.promise;
  });

  it('answers several requests on one connection', async () => {
    await serve(() => new Response('here'));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    for (let count = 0; count < 3; count += 1) {
      await new Promise<void>((resolve, reject) => {
        get(server.url, { agent }, (answer) => {
          ports.add(answer.socket.localPort);
          expect(answer.headers['keep-alive']).toBe('timeout=75');
          answer.resume().once('end', resolve);
        }).once('error', reject);
      });
    }
    expect(ports.size).toBe(1);
    agent.destroy();
  });

  it('names the address that it cannot listen on', async () => {
    await serve(() => new Response());
    const port = Number(new URL(server.url).port);
    await expect(listen(() => new Response(), { host: '127.0.0.1', port })).rejects.toThrow(
      new RegExp(`^cannot listen on 127\\.0\\.0\\.1 port ${port}: .*EADDRINUSE`),
    );
  });
});

describe('HttpServer.close()', () => {
  it('waits for answers in progress, and ends idle connections', async () => {
    const arrived = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<Response>();
    await serve(({ url }) => {
      if (url.endsWith('/now')) return new Response('now');
      arrived.resolve();
      return answer.promise;
    });
    await (await fetch(`${server.url}/now`)).text();
    const slow = fetch(`${server.url}/later`).then((response) => response.text());
    await arrived.promise;
    let closed = false;
    const closing = server.close().then(() => {
      closed = true;
    });
    const another = () =>
      new Promise<string>((resolve) => {
        const asked = get(`${server.url}/now`, { agent: false }, (response) => {
          response.resume().once('end', () => resolve('answered'));
        });
        asked.once('error', ({ message }) => resolve(message));
      });
    await vi.waitFor(async () => expect(await another()).toContain('ECONNREFUSED'), { interval: 1 });
    expect(closed).toBe(false);
    answer.resolve(new Response('later'));
    expect(await slow).toBe('later');
    await closing;
  });
});
