/** Signs whole answers (RFC 9421), refusals included, if the caller asks with `Accept-Signature`. */

import type { MiddlewareHandler } from 'hono';
import { type Bytes, joinBytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import {
  matchesContentDigest,
  parseAcceptSignature,
  type RequestedSignature,
  signAnswer,
} from '../../governance/http-signature.ts';
import { readSentBody } from '../body/request-body.ts';
import { resumeStream } from '../body/sent.ts';
import type { AppContext, AppEnv } from '../context.ts';
import type { Services } from '../services.ts';

/**
 * Signs the answer if the request asks for it. A signed answer is held in memory as a whole before it goes out. A stream of
 * events, which has no end to wait for, stays unsigned, and so does an answer over the limit for answers, such as weights.
 *
 * @throws EdgewiseError `invalid_request`, before the request is handled, for a signature that cannot be made, or a body
 * that does not match its `Content-Digest`
 */
export function signAnswers({ governance, settings }: Services): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const field = c.req.header('accept-signature');
    const requested = governance && parseAcceptSignature(field, governance.ring.signing.kid);
    if (governance === undefined || requested === undefined) return next();
    const { now, ring } = governance;
    const atMs = now();
    if (c.req.header('content-digest') !== undefined) await checkDigest(c, settings.body.maxBytes);
    await next();
    if (c.res.headers.get('content-type')?.startsWith('text/event-stream')) return;
    const body = await heldBody(c, settings.maxAnswerBytes);
    if (body !== undefined) await sign(c, body, requested, atMs, ring.signing);
  };
}

/** The signature covers the request's digest, so the body has to match it. */
async function checkDigest(c: AppContext, maxBytes: number): Promise<void> {
  const body = await readSentBody(c, maxBytes);
  if (!(await matchesContentDigest(c.req.header('content-digest'), body))) {
    throw new EdgewiseError(
      'invalid_request',
      "the body does not match the request's Content-Digest; expected its sha-256 or sha-512",
    );
  }
  c.req.raw = new Request(c.req.raw, { body });
}

/** Returns the answer's body; undefined if it is longer than `maxBytes`, and then the answer is streamed on. */
async function heldBody(c: AppContext, maxBytes: number): Promise<Bytes | undefined> {
  const reader = c.res.body?.getReader();
  const chunks: Uint8Array[] = [];
  let byteLength = 0;
  for (let next = await reader?.read(); next !== undefined && !next.done; next = await reader?.read()) {
    chunks.push(next.value);
    byteLength += next.value.byteLength;
    if (reader !== undefined && byteLength > maxBytes) {
      const { status, headers } = c.res;
      replace(c, new Response(resumeStream(chunks, reader), { status, headers }));
      return undefined;
    }
  }
  return joinBytes(chunks);
}

function replace(c: AppContext, answer: Response): void {
  // Hono merges the headers of the previous answer into the new one unless it is cleared first.
  c.res = undefined;
  c.res = answer;
}

async function sign(
  c: AppContext,
  body: Bytes,
  requested: RequestedSignature,
  atMs: number,
  signing: Parameters<typeof signAnswer>[2],
): Promise<void> {
  const headers = new Headers(c.res.headers);
  // These headers are set on the answer later (`context.ts`), and the signature has to cover them: a refusal's receipt.
  for (const [name, value] of Object.entries(c.get('answerHeaders') ?? {})) headers.set(name, value);
  const exchange = {
    method: c.req.method,
    targetUri: c.req.url,
    requestHeaders: c.req.raw.headers,
    status: c.res.status,
    headers,
    body,
  };
  const signed = await signAnswer(requested, exchange, signing, atMs);
  for (const [name, value] of Object.entries(signed)) headers.set(name, value);
  const { status } = c.res;
  replace(c, new Response(body.byteLength === 0 ? null : body, { status, headers }));
}
