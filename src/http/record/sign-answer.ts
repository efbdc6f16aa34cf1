/** Answers signed as a whole (RFC 9421), refusals too, where the caller asks with `Accept-Signature`. */

import type { MiddlewareHandler } from 'hono';
import { joinBytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import {
  matchesContentDigest,
  signAnswer,
  type WantedSignature,
  wantedSignature,
} from '../../governance/http-signature.ts';
import { readSentBody } from '../body/request-body.ts';
import { resumeStream } from '../body/sent.ts';
import type { AppContext, AppEnv } from '../context.ts';
import type { Services } from '../services.ts';

/**
 * Costs a look at one header where nothing is asked for. A signed answer is held as a whole before it goes out; a stream of
 * events, which has no end to wait for, stays unsigned, and so does what is longer than an answer may be: weights.
 *
 * @throws EdgewiseError `invalid_request` for a signature that cannot be made, or a request whose body is not that of its
 * `Content-Digest`, before anything is done.
 */
export function signAnswers({ governance, settings }: Services): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const field = c.req.header('accept-signature');
    const wanted = governance && wantedSignature(field, governance.ring.signing.kid);
    if (governance === undefined || wanted === undefined) return next();
    const { now, ring } = governance;
    const atMs = now();
    if (c.req.header('content-digest') !== undefined) await checkDigest(c, settings.body.maxBytes);
    await next();
    if (c.res.headers.get('content-type')?.startsWith('text/event-stream')) return;
    const body = await heldBody(c, settings.maxAnswerBytes);
    if (body !== undefined) await sign(c, body, wanted, atMs, ring.signing);
  };
}

/** The signature is to say that this request was answered: so what came has to be what its digest says. */
async function checkDigest(c: AppContext, maxBytes: number): Promise<void> {
  const body = await readSentBody(c, maxBytes);
  if (!(await matchesContentDigest(c.req.header('content-digest'), body))) {
    throw new EdgewiseError(
      'invalid_request',
      "the body is not that of the request's Content-Digest, wanted its sha-256 or sha-512",
    );
  }
  c.req.raw = new Request(c.req.raw, { body });
}

/** The answer's body; undefined where it is longer than `maxBytes`, and then it goes on as it comes. */
async function heldBody(c: AppContext, maxBytes: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
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
  // Hono merges the headers of an answer that is replaced into the new one.
  c.res = undefined;
  c.res = answer;
}

async function sign(
  c: AppContext,
  body: Uint8Array<ArrayBuffer>,
  wanted: WantedSignature,
  atMs: number,
  signing: Parameters<typeof signAnswer>[2],
): Promise<void> {
  const headers = new Headers(c.res.headers);
  // What the answer says in any case is put on it later: a refusal's receipt among it, which the signature is to cover.
  for (const [name, value] of Object.entries(c.get('answerHeaders') ?? {})) headers.set(name, value);
  const exchange = {
    method: c.req.method,
    targetUri: c.req.url,
    requestHeaders: c.req.raw.headers,
    status: c.res.status,
    headers,
    body,
  };
  const signed = await signAnswer(wanted, exchange, signing, atMs);
  for (const [name, value] of Object.entries(signed)) headers.set(name, value);
  const { status } = c.res;
  replace(c, new Response(body.byteLength === 0 ? null : body, { status, headers }));
}
