/** A proxy between a client and a worker that lets some requests hang, like a broken network connection. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export interface StallingProxy {
  readonly url: string;
  /** Settles when some requests hang and all others are answered. */
  readonly stalled: Promise<void>;
  close(): Promise<void>;
}

/** Calls `stalls` for each request in order of arrival; true never forwards or answers it. */
export async function startStallingProxy(
  target: string,
  stalls: (method: string, path: string) => boolean,
): Promise<StallingProxy> {
  const { promise: stalled, resolve: hasStalled } = Promise.withResolvers<void>();
  let hanging = 0;
  let passing = 0;
  const settle = () => {
    if (hanging > 0 && passing === 0) {
      hasStalled();
    }
  };
  const server = createServer((request, response) => {
    const { method = 'GET', url = '/' } = request;
    if (stalls(method, url)) {
      hanging += 1;
      settle();
      return;
    }
    passing += 1;
    void pass(target, request, response).finally(() => {
      passing -= 1;
      settle();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    stalled,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function pass(target: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  const { method = 'GET', url = '/', headers } = request;
  const answer = await fetch(`${target}${url}`, {
    method,
    headers: { authorization: headers.authorization ?? '' },
    ...(chunks.length === 0 ? {} : { body: new Uint8Array(Buffer.concat(chunks)) }),
  });
  const code = answer.headers.get('Edgewise-Error');
  response.writeHead(answer.status, code === null ? {} : { 'Edgewise-Error': code });
  response.end(new Uint8Array(await answer.arrayBuffer()));
}
