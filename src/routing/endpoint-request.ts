/** One HTTP request to an endpoint of the pool up to the head of the answer, and reading or releasing the answer's body. */
import { type Bytes, joinBytes } from '../bytes.ts';
import { EdgewiseError } from '../errors.ts';
import { loadReportFormatHeader } from '../protocol/load-report.ts';
import type { EndpointConfig } from './endpoint-config.ts';
import { AttemptError, type Endpoint } from './types.ts';

export interface EndpointRequest {
  readonly method: 'GET' | 'POST';
  /** Path below the endpoint's URL, percent-encoded: `/v2/models/mlp/infer`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A stream can be sent only once. */
  readonly body?: Bytes | ReadableStream<Uint8Array> | undefined;
  readonly signal: AbortSignal;
}

/** The message for the caller when an endpoint failed; the details are in the error's cause, for the log. */
const failedMessage = 'the origin server failed to answer this request';

/**
 * Returns the address of `path` at the endpoint. The path of the endpoint's url is kept, its query and fragment are not.
 *
 * @throws TypeError if the url is invalid, which its schema rules out.
 */
export function endpointUrl({ url }: Pick<EndpointConfig, 'url'>, path: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname.replace(/\/+$/, '')}${path}`;
}

/** A server may reject a body that is too large for it by closing the connection. No server does so up to this size. */
const plainBodyBytes = 256 * 1024;

/**
 * Sends the request. Follows no redirect and asks for no compression, which costs CPU time and saves little on tensors.
 *
 * @throws AttemptError if there is no answer: `failure`, or `unclear` if the caller's body may be the cause, by its size or
 * as a stream that breaks off.
 */
export async function sendToEndpoint(endpoint: Endpoint, request: EndpointRequest): Promise<Response> {
  const { method, path, headers, body, signal } = request;
  try {
    return await endpoint.fetch(endpointUrl(endpoint.config, path), {
      method,
      headers: { 'Accept-Encoding': 'identity', ...headers, ...endpoint.headers },
      body: body ?? null,
      redirect: 'manual',
      signal,
      ...(body instanceof ReadableStream ? streamed : undefined),
    });
  } catch (error) {
    const isPlain = body === undefined || (body instanceof Uint8Array && body.byteLength <= plainBodyBytes);
    throw brokenOff(error, signal, isPlain ? 'failure' : 'unclear');
  }
}

/** Node's fetch requires this for a streamed body; workerd's ignores it. */
const streamed = { duplex: 'half' } as const;

/** Returns an AttemptError with `outcome` for a request without an answer, or a body that broke off. */
export function brokenOff(
  error: unknown,
  signal: AbortSignal,
  outcome: FailedOutcome = 'failure',
): AttemptError {
  if (signal.aborted)
    return failure(`given up before it answered (${describeFetchError(signal.reason)})`, error, outcome);
  return failure(`could not be reached, or broke off (${describeFetchError(error)})`, error, outcome);
}

type FailedOutcome = Extract<AttemptError['outcome'], 'failure' | 'model-failure' | 'unclear'>;

/** Returns the error of an attempt that failed for `reason`, which only the log shows. */
export function failure(reason: string, cause?: unknown, outcome: FailedOutcome = 'failure'): AttemptError {
  return new AttemptError(
    outcome,
    new EdgewiseError('origin_unavailable', failedMessage, { cause: new Error(reason, { cause }) }),
  );
}

/** Returns the error of an attempt at an endpoint that does not accept this encoding. Nothing was sent, so another may have it. */
export function cannotEncode(message: string, reason: string): AttemptError {
  const error = new EdgewiseError('origin_unavailable', message, { cause: new Error(reason) });
  return new AttemptError('lacks-model', error, undefined, true);
}

/** Returns the headers that every inference request to an endpoint has. */
export function hopHeaders(
  { requestId, traceparent }: { readonly requestId: string; readonly traceparent?: string | undefined },
  config: Pick<EndpointConfig, 'timeoutMs'>,
  remainingMs: number,
): Record<string, string> {
  return {
    'X-Request-Id': requestId,
    'Edgewise-Timeout-Ms': String(attemptTimeMs(config, remainingMs)),
    [loadReportFormatHeader]: 'json',
    ...(traceparent === undefined ? undefined : { traceparent }),
  };
}

/** Returns the whole milliseconds that an attempt may take: at most the request's time left and the endpoint's timeout. */
export function attemptTimeMs({ timeoutMs }: Pick<EndpointConfig, 'timeoutMs'>, remainingMs: number): number {
  return Math.max(1, Math.floor(Math.min(remainingMs, timeoutMs)));
}

/** Returns the error of an attempt that failed for `reason`, which the model or the request may have caused. */
export function modelFailure(reason: string): AttemptError {
  return failure(reason, undefined, 'model-failure');
}

/** Returns the message of the error's cause, because fetch's own errors only say "fetch failed". */
function describeFetchError(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  const message = cause.message === '' ? cause.name : cause.message;
  return code === '' || message.includes(code) ? message : `${code}: ${message}`;
}

/** Releases an answer that is not read, and its connection. */
export function release(response: Response): void {
  response.body?.cancel().catch(() => undefined);
}

/**
 * Reads the whole body. Returns undefined if it has more than `maxBytes`; the rest is not read then.
 *
 * @throws AttemptError with `outcome` if the body breaks off.
 */
export async function readAnswer(
  response: Response,
  maxBytes: number,
  signal: AbortSignal,
  outcome: FailedOutcome = 'model-failure',
): Promise<Uint8Array | undefined> {
  const declared = declaredLength(response.headers);
  if (declared !== undefined && declared > maxBytes) {
    release(response);
    return undefined;
  }
  try {
    // HTTP ends the body at its declared length, so this one native read is bounded.
    if (declared !== undefined) return new Uint8Array(await response.arrayBuffer());
    return response.body === null ? new Uint8Array(0) : await readStream(response.body, maxBytes);
  } catch (error) {
    throw brokenOff(error, signal, outcome);
  }
}

/** Returns the body's length; undefined for a compressed body, which is longer than its Content-Length says. */
function declaredLength(headers: Headers): number | undefined {
  const length = headers.get('content-length');
  return length !== null && /^\d{1,15}$/.test(length) && !headers.has('content-encoding')
    ? Number(length)
    : undefined;
}

async function readStream(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let byteLength = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    byteLength += next.value.byteLength;
    if (byteLength > maxBytes) {
      reader.cancel().catch(() => undefined);
      return undefined;
    }
    chunks.push(next.value);
  }
  return joinBytes(chunks);
}
