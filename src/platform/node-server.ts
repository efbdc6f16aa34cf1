/** A Hono app behind Node's HTTP server. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';

/**
 * How long a connection may wait for its next request: longer than the clients and balancers in front wait before they
 * close it themselves (60 s is usual), so that it is never closed under a request that is on its way.
 */
const keepAliveTimeoutMs = 75_000;

/** A connection without a request at the end may be one whose request is on its way: when all is answered, it has this long to arrive. */
const lingerMs = 250;

export interface HttpServer {
  readonly url: string;
  /**
   * Takes no new connection, and ends each that it has after its answers; those that wait for nothing a moment after the
   * last answer of all.
   * Resolves when all are gone.
   */
  close(): Promise<void>;
}

export interface ListenOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

type Fetch = (request: Request) => Response | Promise<Response>;

/** @throws Error naming the address when it cannot be listened on. */
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
      await whatHasArrived();
      // The close of HTTP's own server cuts off answers that are written and not yet sent.
      const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
      connections.endWhenIdle();
      await closed;
    },
  };
}

/**
 * A run of a model holds the thread, so time may be over while connections and requests stand in the kernel that nobody
 * has looked at. Two turns of the event loop take them in: the connection, then what it brings.
 */
async function whatHasArrived(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Which connections have an answer under way. */
function trackConnections(server: Server): { endWhenIdle(): void } {
  const answers = new Map<Socket, number>();
  let ending = false;

  const idle = () => [...answers].every(([, count]) => count === 0);

  /** Once there is nothing to answer, and a moment later still not. */
  async function endAll(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, lingerMs));
    await whatHasArrived();
    if (idle()) for (const [socket] of answers) socket.end();
  }

  server.on('connection', (socket: Socket) => {
    answers.set(socket, 0);
    socket.once('close', () => answers.delete(socket));
  });
  server.on('request', ({ socket }: { socket: Socket }, response: ServerResponse) => {
    answers.set(socket, (answers.get(socket) ?? 0) + 1);
    // Sent, or cut off.
    response.once('close', () => {
      const left = (answers.get(socket) ?? 1) - 1;
      if (!socket.destroyed) answers.set(socket, left);
      if (!ending) return;
      if (left === 0) socket.end();
      if (idle()) void endAll();
    });
  });
  return {
    endWhenIdle() {
      ending = true;
      if (idle()) void endAll();
    },
  };
}

function urlOf(server: Server, host: string): string {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
