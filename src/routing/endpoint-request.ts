/** One HTTP request to an endpoint of the pool, up to the head of its answer; and its answers' bodies, read or let go. */
import { joinBytes } from '../bytes.ts';
import { EdgewiseError } from '../errors.ts';
import type { EndpointConfig } from './endpoint-config.ts';
import { AttemptError, type Endpoint } from './types.ts';

export interface EndpointRequest {
  readonly method: 'GET' | 'POST';
  /** From the endpoint's root, percent-encoded: `/v2/models/mlp/infer`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A stream is sent once. */
  readonly body?: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | undefined;
  readonly signal: AbortSignal;
}

/** What a caller hears of an endpoint that failed; what failed and how is in the error's cause, for the log. */
const failedMessage = 'the origin server failed to answer this request';

/**
 * The address of `path` at the endpoint. A path in its url is kept, all else behind the host is not.
 *
 * @throws TypeError when its url is none, which its schema rules out.
 */
export function endpointUrl({ url }: Pick<EndpointConfig, 'url'>, path: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname.replace(/\/+$/, '')}${path}`;
}

/** A server may refuse a body that is larger than it takes by closing the connection; one of this size none refuses so. */
const plainBodyBytes = 256 * 1024;

/**
 * Sends the request, follows no redirect and asks for no compression: tensors gain little by it and cost CPU time.
 *
 * @throws AttemptError when there is no answer: `failure`, or `unclear` where the caller's body may be the reason, as its
 * size, or as a stream that breaks off.
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
    throw notReached(error, signal, isPlain ? 'failure' : 'unclear');
  }
}

/** Node's fetch wants to be told that the answer may begin before the body's end; workerd's takes no notice. */
const streamed = { duplex: 'half' } as const;

/** @returns AttemptError `outcome`, for a request or a body that broke off. */
export function notReached(
  error: unknown,
  signal: AbortSignal,
  outcome: FailedOutcome = 'failure',
): AttemptError {
  if (signal.aborted)
    return failure(`given up before it answered (${reasonOf(signal.reason)})`, error, outcome);
  return failure(`could not be reached, or broke off (${reasonOf(error)})`, error, outcome);
}

type FailedOutcome = Extract<AttemptError['outcome'], 'failure' | 'model-failure' | 'unclear'>;

/** An attempt that failed for `reason`, which goes to the log alone. */
export function failure(reason: string, cause?: unknown, outcome: FailedOutcome = 'failure'): AttemptError {
  return new AttemptError(
    outcome,
    new EdgewiseError('origin_unavailable', failedMessage, { cause: new Error(reason, { cause }) }),
  );
}

/** An attempt that failed for `reason`, which the model or the request may have brought about. */
export function modelFailure(reason: string): AttemptError {
  return failure(reason, undefined, 'model-failure');
}

/** fetch's own errors say "fetch failed"; what happened is in their cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  const message = cause.message === '' ? cause.name : cause.message;
  return code === '' || message.includes(code) ? message : `${code}: ${message}`;
}

/** Lets go of an answer that is not read, and of its connection. */
export function release(response: Response): void {
  response.body?.cancel().catch(() => undefined);
}

/**
 * The whole body where it has at most `maxBytes`, else undefined: the rest is not read then.
 *
 * @throws AttemptError `brokenOff` when it breaks off: where it is the answer of a model, others may have theirs.
 */
export async function readAnswer(
  response: Response,
  maxBytes: number,
  signal: AbortSignal,
  brokenOff: FailedOutcome = 'model-failure',
): Promise<Uint8Array | undefined> {
  const declared = declaredLength(response.headers);
  if (declared !== undefined && declared > maxBytes) {
    release(response);
    return undefined;
  }
  try {
    // The connection holds a body to its length, so this is bounded, and one native read.
    if (declared !== undefined) return new Uint8Array(await response.arrayBuffer());
    return response.body === null ? new Uint8Array(0) : await readStream(response.body, maxBytes);
  } catch (error) {
    throw notReached(error, signal, brokenOff);
  }
}

/** Of the body as read: a compressed one is longer than its Content-Length says. */
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
