import type { Context, MiddlewareHandler } from 'hono';
import type { ByteHold } from '../scheduler/byte-budget.ts';
import { randomHex } from '../telemetry/random-hex.ts';
import { continueTrace } from '../telemetry/trace.ts';
import type { BodyReading } from './body/reading.ts';

export interface AppEnv {
  Variables: {
    requestId: string;
    /** Headers set on every response, success or error: the receipt, what is left of a quota. */
    answerHeaders?: Readonly<Record<string, string>> | undefined;
    /** How request bodies are read. */
    bodies: BodyReading;
    /** The part of the budget for bodies that this request holds until it is answered. */
    bodyHold?: ByteHold | undefined;
  };
}

export type AppContext = Context<AppEnv>;

/** Request ids that callers may choose: an id is echoed and logged, so its form is restricted. */
const requestIdForm = /^[A-Za-z0-9._:/+=-]{1,128}$/;

/**
 * Gives each response its `X-Request-Id` (the caller's own if it has the right form), its `traceparent`, and the headers
 * that were added on the way. Releases the memory that the request's body held.
 */
export function identifyRequest(bodies: BodyReading): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const given = c.req.header('x-request-id');
    const requestId = given !== undefined && requestIdForm.test(given) ? given : randomHex(16);
    c.set('requestId', requestId);
    c.set('bodies', bodies);
    try {
      await next();
    } finally {
      c.get('bodyHold')?.release();
    }
    c.res.headers.set('X-Request-Id', requestId);
    c.res.headers.set('traceparent', continueTrace(c.req.header('traceparent')));
    const more = c.get('answerHeaders');
    for (const name in more) c.res.headers.set(name, more[name] ?? '');
  };
}

/** Adds headers to the response of this request, success or error. */
export function addAnswerHeaders(c: AppContext, headers: Readonly<Record<string, string>>): void {
  c.set('answerHeaders', { ...c.get('answerHeaders'), ...headers });
}

/**
 * Returns the added headers for a response that is made with them, and removes them from the context. Setting a header on
 * a finished response costs a call into the runtime.
 */
export function takeAnswerHeaders(c: AppContext): Readonly<Record<string, string>> | undefined {
  const headers = c.get('answerHeaders');
  if (headers !== undefined) c.set('answerHeaders', undefined);
  return headers;
}
