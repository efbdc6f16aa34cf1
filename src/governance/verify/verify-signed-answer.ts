/** Verifies an answer as HTTP delivered it: its `Content-Digest`, and its message signature. */
import { isEdgewiseError } from '../../errors.ts';
import { contentDigest, type HttpExchange, matchesContentDigest, verifyAnswer } from '../http-signature.ts';
import { importVerifyingKeys } from '../receipt/keys.ts';
import type { Level } from './verify-receipt.ts';

export interface SignedAnswerLevels {
  /** The body has the digest that `Content-Digest` names (RFC 9530). */
  readonly contentDigest: Level;
  /** The server signed status, body and receipt as the answer to this request (RFC 9421). */
  readonly httpSignature: Level;
}

export interface SignedAnswerEvidence extends Omit<HttpExchange, 'targetUri'> {
  /** The address that the request was sent to; without a path, the address is unknown and the signature is not verified. */
  readonly targetUri: string | undefined;
  readonly requestBody: HttpExchange['body'] | undefined;
  /** The document at `/.well-known/jwks.json`. */
  readonly jwks: unknown;
  /** The nonce of the request's `Accept-Signature`. The answer must be signed with it. */
  readonly nonce: string | undefined;
}

/** @throws EdgewiseError `invalid_request` if `jwks` is not a JWKS. */
export async function verifySignedAnswer(evidence: SignedAnswerEvidence): Promise<SignedAnswerLevels> {
  return { contentDigest: await verifyDigest(evidence), httpSignature: await verifySignature(evidence) };
}

async function verifyDigest({ headers, body }: SignedAnswerEvidence): Promise<Level> {
  const field = headers.get('content-digest');
  if (field === null) return { outcome: 'not-given', reason: 'the answer has no Content-Digest' };
  return (await matchesContentDigest(field, body))
    ? { outcome: 'good', reason: 'the body has this digest' }
    : { outcome: 'bad', reason: 'the body does not have the digest that Content-Digest names' };
}

async function verifySignature(evidence: SignedAnswerEvidence): Promise<Level> {
  const { headers, targetUri, requestBody, jwks, nonce } = evidence;
  const input = headers.get('signature-input');
  if (input === null && !headers.has('signature')) {
    return nonce === undefined
      ? {
          outcome: 'not-given',
          reason: 'the answer is not signed; a request asks for it with Accept-Signature',
        }
      : { outcome: 'bad', reason: 'the answer is not signed, but a nonce for its signature was given' };
  }
  if (targetUri === undefined) {
    return { outcome: 'not-given', reason: 'the address that the request was sent to was not given' };
  }
  const requestHeaders = new Headers(evidence.requestHeaders);
  const asked = requestHeaders.get('content-digest');
  if (asked !== null && requestBody !== undefined && !(await matchesContentDigest(asked, requestBody))) {
    return { outcome: 'bad', reason: "the request's body does not have the request's Content-Digest" };
  }
  if (asked === null && input?.includes('"content-digest";req')) {
    if (requestBody === undefined) {
      return {
        outcome: 'not-given',
        reason: 'the signature covers the body of the request, which was not given',
      };
    }
    requestHeaders.set('content-digest', await contentDigest(requestBody));
  }
  const keys = await importVerifyingKeys(jwks);
  try {
    const exchange = { ...evidence, targetUri, requestHeaders };
    const { kid, atMs } = await verifyAnswer(exchange, { keys, ...(nonce !== undefined && { nonce }) });
    return {
      outcome: 'good',
      reason: `signed with the key ${kid} at ${new Date(atMs).toISOString()}, as the answer to ${evidence.method} ${targetUri}`,
    };
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    return { outcome: 'bad', reason: error.message };
  }
}
