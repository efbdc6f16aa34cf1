/** JSON over one server's transport: typed answers, JSON bodies. */
import type { z } from 'zod';
import { checkDocument } from '../check-document.ts';
import { EdgewiseError } from '../errors.ts';
import {
  type ClientOptions,
  createTransport,
  type HttpCall,
  type Retry,
  type Transport,
} from './transport.ts';

/**
 * Returns a reader of JSON answers. It throws EdgewiseError `origin_unavailable` for an answer that does not match the
 * schema.
 */
export function jsonAnswer<S extends z.ZodType>(schema: S): (response: Response) => Promise<z.output<S>> {
  return async (response) => {
    const text = await response.text();
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch (error) {
      throw new EdgewiseError('origin_unavailable', `the server's answer is not JSON: ${text.slice(0, 80)}`, {
        cause: error,
      });
    }
    const checked = checkDocument(schema, body, { quoteText: false, whole: 'it' });
    if (!checked.success) {
      throw new EdgewiseError(
        'origin_unavailable',
        `the server's answer has an unexpected form: ${checked.complaint}`,
      );
    }
    return checked.data;
  };
}

/** Ends an answer whose body does not matter, unread. */
export async function discardBody(response: Response): Promise<void> {
  await response.body?.cancel();
}

export interface JsonRequest<S extends z.ZodType> {
  readonly schema: S;
  /** Absent: no body is sent. */
  readonly body?: unknown;
  /** Default: `idempotent`. */
  readonly retry?: Retry;
}

export interface JsonTransport extends Transport {
  get<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>>;
  send<S extends z.ZodType>(
    method: HttpCall<unknown>['method'],
    path: string,
    request: JsonRequest<S>,
  ): Promise<z.output<S>>;
}

export function createJsonTransport(options: ClientOptions): JsonTransport {
  const { exchange } = createTransport(options);
  return {
    exchange,
    get: (path, schema) => exchange({ method: 'GET', path, retry: 'idempotent', read: jsonAnswer(schema) }),
    send: (method, path, { schema, body, retry = 'idempotent' }) =>
      exchange({ method, path, retry, ...encodeJsonBody(body), read: jsonAnswer(schema) }),
  };
}

export function encodeJsonBody(body: unknown): Pick<HttpCall<unknown>, 'headers' | 'body'> {
  if (body === undefined) return {};
  return { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
}
