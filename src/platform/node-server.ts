/** A Hono app behind Node's HTTP server. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';

/**
 * How long an idle connection stays open: longer than clients and load balancers keep it open themselves (60 s is usual),
 * so that it is never closed while a request is on its way.
 */
const keepAliveTimeoutMs = 75_000;

/** After the last answer of a shutdown, idle connections stay open this long: a request may be on its way. */
const lingerMs = 250;

export interface HttpServer {
  readonly url: string;
  /**
   * Accepts no new connection and ends each open one after its answers; idle connections are ended shortly after the last
   * answer of all. Resolves when all connections are closed.
   */
  close(): Promise<void>;
}

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

type Fetch = (request: Request) => Response | Promise<Response>;

/** @throws Error naming the address if the server cannot listen on it. */
export async function listen(fetch: Fetch, { host, port }: ListenOptions): Promise<HttpServer> {
  const answer = getRequestListener((request) => fetch(request), { hostname: host });
  const server = createServer({ keepAliveTimeout: keepAliveTimeoutMs }, (request, response) => {
    void answer(request, response);
  });
  const connections = trackConnections(server);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Error(`cannot listen on ${host} port ${port}: ${error.message}`, { cause: error })),
    );
    server.listen(port, host, resolve);
  });
  return {
    url: urlOf(server, host),
    async close() {
      await acceptArrived();
      // `close` of the HTTP server would cut off answers that are written and not yet sent.
      const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
      connections.endWhenIdle();
      await closed;
    },
  };
}

/**
 * Accepts connections and requests that have reached the kernel. A run of a model blocks the thread, so they may have
 * arrived unnoticed. Two turns of the event loop take them in: the connection, then its request.
 */
async function acceptArrived(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Counts the answers in progress of each connection. */
function trackConnections(server: Server): { endWhenIdle(): void } {
  const answers = new Map<Socket, number>();
  let ending = false;

  const isIdle = () => [...answers].every(([, count]) => count === 0);

  /** Ends all connections if there is still nothing to answer after `lingerMs`. */
  async function endAll(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, lingerMs));
    await acceptArrived();
    if (isIdle()) for (const [socket] of answers) socket.end();
  }

  server.on('connection', (socket: Socket) => {
    answers.set(socket, 0);
    socket.once('close', () => answers.delete(socket));
  });
  server.on('request', ({ socket }: { socket: Socket }, response: ServerResponse) => {
    answers.set(socket, (answers.get(socket) ?? 0) + 1);
    // `close` follows both a sent answer and one that was cut off.
    response.once('close', () => {
      const left = (answers.get(socket) ?? 1) - 1;
      if (!socket.destroyed) answers.set(socket, left);
      if (!ending) return;
      if (left === 0) socket.end();
      if (isIdle()) void endAll();
    });
  });
  return {
    endWhenIdle() {
      ending = true;
      if (isIdle()) void endAll();
    },
  };
}

function urlOf(server: Server, host: string): string {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
