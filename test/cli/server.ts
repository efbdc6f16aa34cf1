/** The whole service behind a real HTTP server, with connections that can be cut. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { adminKey, type TestService, type TestServicesOptions, testService } from '../support/services.ts';

export { adminKey };

/** Decides for each request, counted from 1: pass it, or close its connection before or after it is handled. */
export type Cut = (request: number) => 'pass' | 'before' | 'after';

export interface TestServer {
  readonly url: string;
  readonly service: TestService;
  /** `METHOD path` of each request that was handled. */
  readonly handled: string[];
  /** Applies to the requests from now on. */
  cut(cut: Cut): void;
  close(): Promise<void>;
}

function forwardedHeaders(headers: IncomingHttpHeaders): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    value === undefined || name === 'connection' ? [] : [[name, String(value)] satisfies [string, string]],
  );
}

export async function startTestServer(options: TestServicesOptions = {}): Promise<TestServer> {
  const service = await testService(options);
  const handled: string[] = [];
  let decide: Cut = () => 'pass';
  let count = 0;
  const server = createServer((request, response) => {
    count += 1;
    void answer(request, response, decide(count));
  });

  async function answer(
    request: IncomingMessage,
    response: ServerResponse,
    cut: ReturnType<Cut>,
  ): Promise<void> {
    if (cut === 'before') {
      request.socket.destroy();
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const { method = 'GET', url = '/', headers } = request;
    const body = chunks.length === 0 ? {} : { body: new Uint8Array(Buffer.concat(chunks)) };
    const answered = await service.fetch(`http://${headers.host}${url}`, {
      method,
      headers: new Headers(forwardedHeaders(headers)),
      ...body,
    });
    handled.push(`${method} ${url}`);
    if (cut === 'after') {
      request.socket.destroy();
      return;
    }
    response.writeHead(answered.status, Object.fromEntries(answered.headers));
    response.end(new Uint8Array(await answered.arrayBuffer()));
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    service,
    handled,
    cut(cut) {
      count = 0;
      decide = cut;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
