/** HTTP calls to an Edgewise server: addresses, the key, errors by the server's own code, safe retries. */

import { type Clock, systemClock } from '../async/clock.ts';
import type { Bytes } from '../bytes.ts';
import { EdgewiseError, type ErrorCode, errorCodes, toEdgewiseError } from '../errors.ts';

export interface ClientOptions {
  /** The server's address, `https://models.example.com`; a path in it is kept. */
  readonly url: string;
  /** Sent as a bearer token. */
  readonly key?: string;
  readonly fetch?: typeof fetch;
  readonly clock?: Clock;
  /** Time limit of one attempt. Default 60,000. */
  readonly timeoutMs?: number;
  /** Default 3. */
  readonly maxAttempts?: number;
}

/**
 * When a failed call is sent again. `idempotent`: after any failure on the way, because repeating the call changes nothing.
 * `unprocessed`: only if the server did nothing and says when to retry (429 and 503 with Retry-After).
 */
export type Retry = 'idempotent' | 'unprocessed' | 'never';

/** One call, and how its answer is read. */
export interface HttpCall<T> {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'PATCH' | 'POST' | 'DELETE';
  /** Percent-encoded path from the server's root: `/v2/models/mlp`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Bytes | string;
  readonly retry: Retry;
  /** Replaces the client's `maxAttempts` if the server is overloaded and says when to retry. */
  readonly attemptsWhenOverloaded?: number;
  readonly signal?: AbortSignal | undefined;
  /** Statuses besides 2xx that are answers, not errors. */
  readonly accept?: readonly number[];
  /** Reads the answer; its failure counts as a failure on the way. */
  read(response: Response): Promise<T>;
}

export interface Transport {
  /** @throws EdgewiseError with the server's code; `origin_unavailable` when it cannot be reached; `deadline_exceeded`. */
  exchange<T>(call: HttpCall<T>): Promise<T>;
}

const firstWaitMs = 200;
/** A longer Retry-After is not waited for. */
const maxWaitMs = 10_000;

export function createTransport(options: ClientOptions): Transport {
  const { fetch: send = fetch, clock = systemClock, timeoutMs = 60_000, maxAttempts = 3 } = options;
  const base = parseServerUrl(options.url);
  const authorization = options.key === undefined ? {} : { Authorization: `Bearer ${options.key}` };

  async function attempt<T>(call: HttpCall<T>): Promise<T> {
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = call.signal === undefined ? timeout : AbortSignal.any([timeout, call.signal]);
    let response: Response;
    try {
      response = await send(`${base}${call.path}`, {
        method: call.method,
        headers: { ...authorization, ...call.headers },
        body: call.body ?? null,
        signal,
      });
      if (response.ok || call.accept?.includes(response.status)) {
        return await call.read(response);
      }
    } catch (error) {
      throw toFailure(error, { base, timeoutMs, signal: call.signal });
    }
    throw await errorOfResponse(response, call);
  }

  return {
    async exchange(call) {
      for (let count = 1; ; count += 1) {
        try {
          return await attempt(call);
        } catch (error) {
          const failure = toEdgewiseError(error);
          const waitMs = (failure.retryAfterSeconds ?? (firstWaitMs * 2 ** (count - 1)) / 1000) * 1000;
          const isOverloaded = failure.code === 'overloaded' && failure.retryAfterSeconds !== undefined;
          const attempts = (isOverloaded ? call.attemptsWhenOverloaded : undefined) ?? maxAttempts;
          const mayRepeat = count < attempts && waitMs <= maxWaitMs && mayRetry(call.retry, failure);
          if (!mayRepeat || call.signal?.aborted) throw failure;
          await new Promise<void>((resolve) => clock.after(waitMs, resolve));
        }
      }
    },
  };
}

/** @throws EdgewiseError `invalid_request` for another address than http or https. */
function parseServerUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new EdgewiseError(
      'invalid_request',
      `${JSON.stringify(text)} is not the address of a server; expected "https://…"`,
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

const retryableCodes = new Set<ErrorCode>([
  'body_timeout',
  'overloaded',
  'quota_exceeded',
  'model_not_ready',
  'origin_unavailable',
  'no_capacity',
  'records_unavailable',
  'deadline_exceeded',
]);

function mayRetry(retry: Retry, failure: EdgewiseError): boolean {
  switch (retry) {
    case 'idempotent':
      return retryableCodes.has(failure.code);
    case 'unprocessed':
      return retryableCodes.has(failure.code) && failure.retryAfterSeconds !== undefined;
    case 'never':
      return false;
  }
}

interface Attempt {
  readonly base: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

function toFailure(error: unknown, { base, timeoutMs, signal }: Attempt): EdgewiseError {
  if (error instanceof EdgewiseError) return error;
  if (signal?.aborted) {
    return new EdgewiseError('deadline_exceeded', `the request to ${base} was aborted`, { cause: error });
  }
  if (error instanceof Error && error.name === 'TimeoutError') {
    return new EdgewiseError('deadline_exceeded', `${base} did not answer within ${timeoutMs} ms`, {
      cause: error,
    });
  }
  return new EdgewiseError('origin_unavailable', `${base} cannot be reached (${reasonOf(error)})`, {
    cause: error,
  });
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return [code, cause instanceof Error ? cause.message : String(cause)]
    .filter((part) => part !== '')
    .join(': ');
}

const codesByStatus = new Map<number, ErrorCode>([
  [400, 'invalid_request'],
  [401, 'unauthenticated'],
  [403, 'forbidden'],
  [404, 'not_found'],
  [405, 'method_not_allowed'],
  [408, 'body_timeout'],
  [409, 'conflict'],
  [413, 'too_large'],
  [415, 'unsupported_encoding'],
  [429, 'overloaded'],
  [502, 'origin_unavailable'],
  [503, 'origin_unavailable'],
  [504, 'deadline_exceeded'],
]);

async function errorOfResponse(
  response: Response,
  { method, path }: Pick<HttpCall<unknown>, 'method' | 'path'>,
): Promise<EdgewiseError> {
  const named = response.headers.get('Edgewise-Error');
  const code =
    errorCodes.find((known) => known === named) ?? codesByStatus.get(response.status) ?? 'internal';
  const text = await response.text().catch(() => '');
  const retryAfter = response.headers.get('Retry-After');
  const seconds = retryAfter !== null && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : undefined;
  const message = errorText(text) ?? `${method} ${path} was answered with status ${response.status}`;
  return new EdgewiseError(code, message, seconds === undefined ? {} : { retryAfterSeconds: seconds });
}

/** The message of `{"error": "…"}` (Open Inference Protocol). */
function errorText(text: string): string | undefined {
  try {
    const body: unknown = JSON.parse(text);
    const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined;
    return typeof error === 'string' ? error : undefined;
  } catch {
    return undefined;
  }
}
