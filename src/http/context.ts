import type { Context, MiddlewareHandler } from 'hono';
import type { ByteHold } from '../scheduler/byte-budget.ts';
import { randomHex } from '../telemetry/random-hex.ts';
import { continueTrace } from '../telemetry/trace.ts';
import type { BodyReading } from './body/reading.ts';

export interface AppEnv {
  Variables: {
    requestId: string;
    /** What the answer says whether it is one or a refusal: the receipt, what is left of a quota. */
    answerHeaders?: Readonly<Record<string, string>> | undefined;
    /** How this server reads bodies. */
    bodies: BodyReading;
    /** What the request's body holds of the memory for bodies, until the request is answered. */
    bodyHold?: ByteHold | undefined;
  };
}

export type AppContext = Context<AppEnv>;

/** What a caller may choose as the id of a request: it is echoed and logged, so its form is held. */
const requestIdForm = /^[A-Za-z0-9._:/+=-]{1,128}$/;

/**
 * Names each request and each answer: `X-Request-Id` (the caller's where it is usable) and `traceparent`. Gives back what
 * the request's body held.
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

/** Adds headers that the answer to this request carries, also where it becomes a refusal. */
export function addAnswerHeaders(c: AppContext, headers: Readonly<Record<string, string>>): void {
  c.set('answerHeaders', { ...c.get('answerHeaders'), ...headers });
}

/** Takes them for an answer that is made with them: to set a header afterwards is a call into the runtime for each. */
export function takeAnswerHeaders(c: AppContext): Readonly<Record<string, string>> | undefined {
  const headers = c.get('answerHeaders');
  if (headers !== undefined) c.set('answerHeaders', undefined);
  return headers;
}
