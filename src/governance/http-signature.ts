/**
 * Signatures over whole answers (RFC 9421), for callers that ask with `Accept-Signature` (§5). A signature covers the status,
 * the body by its `Content-Digest` (RFC 9530), the receipt, and the request: method, URI, and its own `Content-Digest` if it
 * has one. So no one between server and caller can change the answer or give it to another request.
 */

import { createSignature, isSignatureError, verifySignature, webcrypto } from 'http-message-sig';
import {
  type BareItem,
  isInnerList,
  type Parameters,
  parseDictionary,
  serializeDictionary,
} from 'structured-headers';
import { type Bytes, equalBytes } from '../bytes.ts';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import type { ServerSigningKey, VerifyingKeys } from './receipt/keys.ts';

/** Marks these signatures, so that a signature made for another purpose is not accepted (RFC 9421 §7.2.7). */
export const answerTag = 'edgewise-answer';
const algorithm = 'ed25519';

/** A request, and the answer to it with its final headers. */
export interface HttpExchange {
  readonly method: string;
  /** The full URI, as the caller wrote it. */
  readonly targetUri: string;
  readonly requestHeaders: Headers;
  readonly status: number;
  readonly headers: Headers;
  readonly body: Bytes;
}

/** The signature that a caller asks for. */
export interface RequestedSignature {
  readonly label: string;
  readonly components: readonly Component[];
  /** Returned in the signature, so that the caller can tell that the answer is fresh. */
  readonly nonce: string | undefined;
}

interface Component {
  readonly name: string;
  /** Whether it is a component of the request. */
  readonly req: boolean;
}

/** Always covered, as far as the exchange has them. */
const always: readonly Component[] = [
  { name: '@status', req: false },
  { name: 'content-digest', req: false },
  { name: 'edgewise-receipt', req: false },
  { name: 'edgewise-receipt-id', req: false },
  { name: '@method', req: true },
  { name: '@target-uri', req: true },
  { name: 'content-digest', req: true },
];

/** All components that can be covered. */
const possible: readonly Component[] = [
  ...always,
  ...['content-type', 'edgewise-receipt-salt', 'edgewise-model', 'edgewise-tier', 'edgewise-reason'].map(
    (name) => ({ name, req: false }),
  ),
  ...['@authority', '@scheme', '@path', '@query', 'content-type'].map((name) => ({ name, req: true })),
];

const maxFieldLength = 2048;

/**
 * Parses `Accept-Signature`; undefined if it is absent. To be called before the request is handled.
 *
 * @param keyId Id of the signing key.
 * @throws EdgewiseError `invalid_request` for a field that is malformed or asks for an unsupported signature (RFC 9421 §5.2).
 */
export function parseAcceptSignature(
  field: string | undefined,
  keyId: string,
): RequestedSignature | undefined {
  if (field === undefined) return undefined;
  if (field.length > maxFieldLength) throw cannotSign(`it has ${field.length} characters`);
  const [requested, ...more] = parseField(field);
  if (requested === undefined) return undefined;
  const [label, list] = requested;
  if (more.length > 0) throw cannotSign('it asks for more than one signature');
  if (!isInnerList(list)) throw cannotSign('it has no list of components');
  const [names, parameters] = list;
  return {
    label,
    components: names.map(([name, of]) => findComponent(name, of)),
    nonce: checkParameters(parameters, keyId),
  };
}

function parseField(field: string): ReturnType<typeof parseDictionary> {
  try {
    return parseDictionary(field);
  } catch {
    throw cannotSign('it is not a structured-field dictionary (RFC 9651)');
  }
}

function findComponent(name: BareItem, of: Parameters): Component {
  const req = of.get('req') === true;
  const requested = possible.find((component) => component.name === name && component.req === req);
  if (requested === undefined || of.size > (req ? 1 : 0)) {
    const known = possible.map(identifier).join(' ');
    throw cannotSign(`it asks for an unknown component; known are ${known}`);
  }
  return requested;
}

/** Checks the signature parameters and returns the nonce. */
function checkParameters(parameters: Parameters, keyId: string): string | undefined {
  const differs = (name: string, ours: string) => parameters.has(name) && parameters.get(name) !== ours;
  if (differs('alg', algorithm)) throw cannotSign(`it asks for another alg than "${algorithm}"`);
  if (differs('keyid', keyId)) throw cannotSign(`it asks for another keyid than "${keyId}"`);
  if (differs('tag', answerTag)) throw cannotSign(`it asks for another tag than "${answerTag}"`);
  if (parameters.has('expires')) throw cannotSign('it asks for expires, but answers do not expire');
  const nonce = parameters.get('nonce');
  if (nonce !== undefined && typeof nonce !== 'string') throw cannotSign('its nonce is not a string');
  return nonce;
}

/**
 * Returns the headers that sign the answer: `Content-Digest`, `Signature-Input`, `Signature`. Covers the requested components
 * and those that are always covered, as far as this answer and its request have them.
 *
 * @param atMs Milliseconds since 1970.
 */
export async function signAnswer(
  requested: RequestedSignature,
  exchange: HttpExchange,
  { kid, key }: ServerSigningKey,
  atMs: number,
): Promise<Readonly<Record<string, string>>> {
  const digest = await contentDigest(exchange.body);
  const headers = new Headers(exchange.headers);
  headers.set('Content-Digest', digest);
  const message = messageOf({ ...exchange, headers });
  const covered = [...new Set([...requested.components, ...always])].filter(({ name, req }) =>
    name.startsWith('@') ? true : (req ? exchange.requestHeaders : headers).has(name),
  );
  const { signature, signatureInput } = await createSignature(message, {
    label: requested.label,
    components: covered.map(toLibrary),
    parameters: {
      created: Math.floor(atMs / 1000),
      keyid: kid,
      alg: algorithm,
      ...(requested.nonce !== undefined && { nonce: requested.nonce }),
      tag: answerTag,
    },
    signer: webcrypto.signer(key),
  });
  return { 'Content-Digest': digest, 'Signature-Input': signatureInput, Signature: signature };
}

export interface VerifyAnswerOptions {
  readonly keys: VerifyingKeys;
  /** The nonce of the request. Default: any nonce. */
  readonly nonce?: string;
}

/**
 * Verifies that the server signed this answer to this request.
 *
 * @returns The id of the signing key, and the time of signing in milliseconds since 1970.
 * @throws EdgewiseError `signature_invalid`
 */
export async function verifyAnswer(
  exchange: HttpExchange,
  { keys, nonce }: VerifyAnswerOptions,
): Promise<{ readonly kid: string; readonly atMs: number }> {
  if (!(await matchesContentDigest(exchange.headers.get('content-digest'), exchange.body))) {
    throw notSigned('its body does not match its Content-Digest');
  }
  const needed = always.filter(({ name, req }) => {
    if (name.startsWith('edgewise-receipt')) return exchange.headers.has(name);
    return name === 'content-digest' && req ? exchange.requestHeaders.has(name) : true;
  });
  try {
    const { parameters } = await verifySignature(messageOf(exchange), {
      policy: {
        algorithms: [algorithm],
        requiredComponents: needed.map(toLibrary),
        requiredParameters: ['created', 'keyid', 'tag'],
        // An answer may be verified years later: the caller decides whether its time is acceptable.
        now: Number.MAX_SAFE_INTEGER,
        validate: (signed) =>
          signed.parameters.tag === answerTag && (nonce === undefined || signed.parameters.nonce === nonce),
      },
      resolveVerifier({ parameters: { keyid } }) {
        const key = keys.get(keyid ?? '');
        if (key === undefined) throw notSigned(`the key ${keyid} is unknown`);
        return webcrypto.verifier(key);
      },
    });
    return { kid: parameters.keyid ?? '', atMs: (parameters.created ?? 0) * 1000 };
  } catch (error) {
    if (!isSignatureError(error)) throw error;
    throw isEdgewiseError(error.cause) ? error.cause : notSigned(error.message);
  }
}

/** Returns the `Content-Digest` of a body, with SHA-256 (RFC 9530 §2). */
export async function contentDigest(body: Bytes): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', body);
  return serializeDictionary(new Map([['sha-256', [digest, new Map()]]]));
}

const hashes: ReadonlyMap<string, string> = new Map([
  ['sha-256', 'SHA-256'],
  ['sha-512', 'SHA-512'],
]);

/** Reports whether the field has a digest of a known algorithm, and all such digests match `body`. */
export async function matchesContentDigest(field: string | null | undefined, body: Bytes): Promise<boolean> {
  const given = field ? parseDigests(field) : [];
  const same = await Promise.all(given.map(([hash, digest]) => matchesHash(hash, digest, body)));
  return same.length > 0 && !same.includes(false);
}

function parseDigests(field: string): [hash: string, digest: Bytes][] {
  try {
    return [...parseDictionary(field)].flatMap(([name, member]): [string, Bytes][] => {
      const hash = hashes.get(name);
      if (hash === undefined) return [];
      const value = isInnerList(member) ? undefined : member[0];
      return [[hash, value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(0)]];
    });
  } catch {
    return [];
  }
}

async function matchesHash(hash: string, digest: Bytes, body: Bytes): Promise<boolean> {
  const requested = new Uint8Array(await crypto.subtle.digest(hash, body));
  return equalBytes(requested, digest);
}

function messageOf({ method, targetUri, requestHeaders, status, headers }: HttpExchange) {
  return {
    kind: 'response',
    status,
    fields: fieldsOf(headers),
    request: { kind: 'request', method, targetUri, fields: fieldsOf(requestHeaders) },
  } as const;
}

/** Returns the fields that can be covered. Others may not be ASCII, which the library refuses. */
function fieldsOf(headers: Headers): { readonly name: string; readonly value: string }[] {
  const names = new Set([...possible.map(({ name }) => name), 'signature', 'signature-input']);
  return [...headers].filter(([name]) => names.has(name)).map(([name, value]) => ({ name, value }));
}

function toLibrary({ name, req }: Component) {
  return { name, parameters: req ? { req } : {} };
}

/** Returns the component identifier in the form of `Signature-Input`. */
function identifier({ name, req }: Component): string {
  return `"${name}"${req ? ';req' : ''}`;
}

function cannotSign(reason: string): EdgewiseError {
  return new EdgewiseError(
    'invalid_request',
    `the answer cannot be signed as Accept-Signature asks: ${reason}; expected a field such as sig=();tag="${answerTag}"`,
  );
}

function notSigned(reason: string): EdgewiseError {
  return new EdgewiseError('signature_invalid', `the answer is not what the server signed: ${reason}`);
}
