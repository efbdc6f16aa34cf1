/** A small Open Inference Protocol server over the project's own codecs, with one model that answers its inputs. */
import { encodeInferRequest } from '../../src/protocol/oip/infer-client.ts';
import { parseInferRequest } from '../../src/protocol/oip/infer-request.ts';
import { encodeInferResponse } from '../../src/protocol/oip/infer-response.ts';
import { headerLengthName, type InferRequest } from '../../src/protocol/oip/types.ts';
import { Capabilities } from '../../src/routing/capabilities.ts';
import type { OipRequest } from '../../src/routing/oip-endpoint.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { ManualClock } from '../support/clock.ts';
import { type Handler, json, type Received, type Server, startServer } from './servers.ts';

export const model = { inputs: [], maxBatchSize: 0 };

/** A request's body, as its server parses it. */
export function parseReceived({ body, headers }: Pick<Received, 'body' | 'headers'>): InferRequest {
  const header = headers[headerLengthName.toLowerCase()];
  return parseInferRequest(body, { headerLength: typeof header === 'string' ? header : undefined, model });
}

export function metadata(extensions: readonly string[] = ['binary_tensor_data']): object {
  return { name: 'triton', version: '2.51.0', extensions };
}

export interface OipServer extends Server {
  /** Requests other than `GET /v2`. */
  readonly inferences: readonly Received[];
}

/** Answers `GET /v2` with `about`, and every other request with `infer`. */
export async function startOipServer(infer: Handler, about: object = metadata()): Promise<OipServer> {
  const server = await startServer((request, response) =>
    request.url === '/v2' ? json(response, 200, about) : infer(request, response),
  );
  return {
    ...server,
    get inferences() {
      return server.received.filter(({ url }) => url !== '/v2');
    },
  };
}

/** Returns each input `x` as the output `x`, in the requested form. */
export const echo: Handler = (received, response) => {
  const request = parseReceived(received);
  const { body, headerLength, contentType } = encodeInferResponse({
    modelName: 'm',
    modelVersion: '1',
    outputs: request.inputs,
    requested: request.outputs,
    binaryOutput: request.binaryOutput,
    batched: false,
  });
  response.writeHead(200, {
    'Content-Type': contentType,
    'Content-Length': body.byteLength,
    ...(headerLength === undefined ? {} : { [headerLengthName]: headerLength }),
  });
  response.end(body);
};

export function newCapabilities(): Capabilities {
  return new Capabilities({ clock: new ManualClock(), defer: (work) => void work });
}

export interface RequestOptions extends Partial<OipRequest> {
  /** The caller's encoding. Default: all in binary. */
  readonly sent?: 'binary' | 'json';
}

/** Returns the worker's request for a body with these inputs, for a model that returns its inputs. */
export function requestOf(inputs: ReadonlyMap<string, Tensor>, options: RequestOptions = {}): OipRequest {
  const { sent = 'binary', ...overrides } = options;
  const binary = sent === 'binary';
  const { body, headerLength } = encodeInferRequest({ inputs, binaryInput: binary, binaryOutput: binary });
  return {
    manifest: {
      name: 'acme/m',
      version: '7',
      maxBatchSize: 0,
      outputs: Array.from(inputs, ([name, { datatype, shape }]) => ({ name, datatype, shape: [...shape] })),
    },
    request: parseInferRequest(body, { headerLength, model }),
    original: headerLength === undefined ? undefined : { body, headerLength },
    requestId: 'request-1',
    maxAnswerBytes: 1024 * 1024,
    ...overrides,
  };
}
