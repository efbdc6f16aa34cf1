/** Real HTTP servers that stand in for endpoints, and the endpoints that name them. */
import {
  createServer,
  type Server as HttpServer,
  type IncomingHttpHeaders,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { expect, onTestFinished } from 'vitest';
import { type EndpointConfig, parseOriginPool } from '../../src/routing/endpoint-config.ts';
import type { AttemptContext, Endpoint } from '../../src/routing/types.ts';

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array<ArrayBuffer>;
}

export interface Server {
  readonly url: string;
  readonly received: readonly Received[];
}

export type Handler = (request: Received, response: ServerResponse) => unknown;

/** Starts a server that reads each request to its end, then answers with `handler`. Closed, with its connections, when the test ends. */
export async function startServer(handler: Handler): Promise<Server> {
  const received: Received[] = [];
  const url = await startRawServer(async (request, response) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      // The sender broke off.
      return;
    }
    const { method = '', url: path = '', headers } = request;
    const whole = { method, url: path, headers, body: new Uint8Array(Buffer.concat(chunks)) };
    received.push(whole);
    await handler(whole, response);
  });
  return { url, received };
}

/** Starts a server that passes each request to `listener` when its head has arrived. Returns its address. */
export async function startRawServer(listener: RequestListener): Promise<string> {
  // Longer than any pause of a busy machine: a server that closes an idle connection may meet a request on its way.
  const server = createServer({ keepAliveTimeout: 60_000 }, listener);
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return listen(server);
}

/** Returns an address at which nothing listens. */
export async function closedUrl(): Promise<string> {
  const server = createServer();
  const url = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return url;
}

async function listen(server: HttpServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return `http://127.0.0.1:${address.port}`;
}

export function endpointAt(url: string, config: Partial<EndpointConfig> = {}): Endpoint {
  const [defaults = expect.unreachable()] = parseOriginPool(JSON.stringify([{ name: 'one', url }]));
  return {
    config: { ...defaults, ...config },
    fetch: (address, init) => fetch(address, init),
    headers: { Authorization: 'Bearer origin-key' },
  };
}

export function contextOf(options: Partial<AttemptContext> = {}): AttemptContext {
  return { signal: new AbortController().signal, remainingMs: 5000, ...options };
}

export function json(response: ServerResponse, status: number, body: unknown, headers: object = {}): void {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}
