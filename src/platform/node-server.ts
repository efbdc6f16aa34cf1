/** A Hono app behind Node's HTTP server. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';

/**
 * How long a connection may wait for its next request: longer than the clients and balancers in front wait before they
 * close it themselves (60 s is usual), so that it is never closed under a request that is on its way.
 */
const keepAliveTimeoutMs = 75_000;

/** A connection without a request at the end may be one whose request is on its way: it is given this long to arrive. */
const lingerMs = 250;

export interface HttpServer {
  readonly url: string;
  /**
   * Takes no new connection, and ends each that it has after the answers that are under way, an idle one after a moment.
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
    close: () =>
      new Promise((resolve) => {
        // The close of HTTP's own server cuts off answers that are written and not yet sent.
        NetServer.prototype.close.call(server, () => resolve());
        connections.endWhenIdle();
      }),
  };
}

/** Which connections have an answer under way. */
function trackConnections(server: Server): { endWhenIdle(): void } {
  const answers = new Map<Socket, number>();
  let ending = false;
  server.on('connection', (socket: Socket) => {
    answers.set(socket, 0);
    socket.once('close', () => answers.delete(socket));
  });
  server.on('request', ({ socket }: { socket: Socket }, response: ServerResponse) => {
    answers.set(socket, (answers.get(socket) ?? 0) + 1);
    // Sent, or cut off.
    response.once('close', () => {
      const left = (answers.get(socket) ?? 1) - 1;
      if (socket.destroyed) return;
      answers.set(socket, left);
      if (ending && left === 0) socket.end();
    });
  });
  return {
    endWhenIdle() {
      ending = true;
      setTimeout(() => {
        for (const [socket, count] of answers) if (count === 0) socket.end();
      }, lingerMs);
    },
  };
}

function urlOf(server: Server, host: string): string {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
