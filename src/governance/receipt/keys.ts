/**
 * The server's keys, which sign receipts, answers and statements: Ed25519, named by RFC 7638 thumbprints, so that a `kid`
 * identifies exactly one key. The first key of the set signs. The others are future or retired keys, whose public halves
 * stay published while their signatures must verify; a retired key needs only its public half (without `d`).
 */
import { type CryptoKey, calculateJwkThumbprint } from 'jose';
import { z } from 'zod';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { exportJwk } from '../export-jwk.ts';

/** A key as in `/.well-known/jwks.json` (RFC 7517, RFC 8037). */
export interface PublicJwk {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
  readonly kid: string;
  readonly alg: 'EdDSA';
  readonly use: 'sig';
}

export interface PublicJwks {
  readonly keys: readonly PublicJwk[];
}

export interface PrivateJwk extends PublicJwk {
  readonly d: string;
}

/** By `kid`. */
export type VerifyingKeys = ReadonlyMap<string, CryptoKey>;

export interface ServerSigningKey {
  readonly kid: string;
  readonly key: CryptoKey;
}

export interface KeyRing {
  readonly signing: ServerSigningKey;
  readonly verifying: VerifyingKeys;
  readonly publicJwks: PublicJwks;
}

export const ed25519 = { name: 'Ed25519' } as const;
const maxKeys = 32;

const coordinate = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const jwkSchema = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: coordinate,
  d: coordinate.optional(),
  kid: z.string().optional(),
  alg: z.enum(['EdDSA', 'Ed25519']).optional(),
  use: z.literal('sig').optional(),
});
const jwksSchema = z.object({ keys: z.array(z.unknown()).max(maxKeys) });

/**
 * @param text The value of `EDGEWISE_SIGNING_KEYS`: a JWKS whose first key has its private half.
 * @throws EdgewiseError `invalid_request`, which names the position of the key and the reason, never its value.
 */
export async function importSigningKeys(text: string): Promise<KeyRing> {
  const jwks = jwksSchema.safeParse(parseJson(text));
  if (!jwks.success) {
    throw badKeys(`the signing keys are not a JWKS; expected {"keys":[…]} with at most ${maxKeys} keys`);
  }
  const keys = await Promise.all(jwks.data.keys.map((key, at) => importKey(key, `signing key ${at + 1}`)));
  const [first] = keys;
  if (first?.signing === undefined) {
    throw badKeys(
      'signing key 1 is not usable: it has no private half (d), which the first key needs to sign',
    );
  }
  return {
    signing: { kid: first.jwk.kid, key: first.signing },
    verifying: byKid(keys, 'signing key'),
    publicJwks: { keys: keys.map(({ jwk }) => jwk) },
  };
}

/**
 * Imports the Ed25519 keys of a JWKS document; keys of other types are ignored (RFC 7517 §5).
 *
 * @throws EdgewiseError `invalid_request` if `document` is not a JWKS, or the `kid` of an Ed25519 key is not its thumbprint.
 */
export async function importVerifyingKeys(document: unknown): Promise<VerifyingKeys> {
  const jwks = jwksSchema.safeParse(document);
  if (!jwks.success)
    throw badKeys(`the keys are not a JWKS; expected {"keys":[…]} with at most ${maxKeys} keys`);
  const usable = jwks.data.keys.filter((key) => jwkSchema.safeParse(key).success);
  return byKid(await Promise.all(usable.map((key, at) => importKey(key, `key ${at + 1}`))), 'key');
}

/** Returns a new key in the form of `EDGEWISE_SIGNING_KEYS`. */
export async function generateSigningKey(): Promise<PrivateJwk> {
  const pair = await crypto.subtle.generateKey(ed25519, true, ['sign', 'verify']);
  if (!('privateKey' in pair))
    throw new EdgewiseError('internal', 'generating an Ed25519 key gave no key pair');
  const exported = jwkSchema.safeParse(await exportJwk(pair.privateKey));
  if (exported.data?.d === undefined) {
    throw new EdgewiseError('internal', 'the generated Ed25519 key could not be exported');
  }
  return { ...(await publicJwk(exported.data.x)), d: exported.data.d };
}

interface ImportedKey {
  readonly jwk: PublicJwk;
  readonly verifying: CryptoKey;
  readonly signing: CryptoKey | undefined;
}

async function importKey(value: unknown, what: string): Promise<ImportedKey> {
  const checked = checkDocument(jwkSchema, value, { quoteText: false, whole: 'it' });
  if (!checked.success) {
    throw badKeys(`${what} is not usable: expected an Ed25519 JWK (kty OKP); ${checked.complaint}`);
  }
  const { x, d, kid } = checked.data;
  const jwk = await publicJwk(x);
  if (kid !== undefined && kid !== jwk.kid) {
    throw badKeys(`${what} is not usable: its kid is not its RFC 7638 thumbprint; expected ${jwk.kid}`);
  }
  const verifying = await importHalf({ x }, 'verify', what);
  const signing = d === undefined ? undefined : await importHalf({ x, d }, 'sign', what);
  if (signing !== undefined && !(await isPair(signing, verifying))) {
    throw badKeys(`${what} is not usable: its public half (x) does not belong to its private half (d)`);
  }
  return { jwk, verifying, signing };
}

async function publicJwk(x: string): Promise<PublicJwk> {
  const kid = await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x });
  return { kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'EdDSA', use: 'sig' };
}

async function importHalf(
  half: { readonly x: string; readonly d?: string },
  usage: 'sign' | 'verify',
  what: string,
): Promise<CryptoKey> {
  try {
    const jwk = { kty: 'OKP', crv: 'Ed25519', ...half };
    return await crypto.subtle.importKey('jwk', jwk, ed25519, false, [usage]);
  } catch {
    // The runtime's message may contain the key.
    throw badKeys(`${what} is not usable: its members do not form an Ed25519 key`);
  }
}

/** Reports whether the two halves belong together. Not every runtime checks that on import. */
async function isPair(signing: CryptoKey, verifying: CryptoKey): Promise<boolean> {
  const message = new Uint8Array(32);
  const signature = await crypto.subtle.sign(ed25519, signing, message);
  return crypto.subtle.verify(ed25519, verifying, signature, message);
}

function byKid(keys: readonly ImportedKey[], what: string): VerifyingKeys {
  const known = new Map<string, CryptoKey>();
  for (const [at, { jwk, verifying }] of keys.entries()) {
    if (known.has(jwk.kid)) throw badKeys(`${what} ${at + 1} repeats an earlier key`);
    known.set(jwk.kid, verifying);
  }
  return known;
}

/** Returns undefined for text that is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function badKeys(message: string): EdgewiseError {
  return new EdgewiseError('invalid_request', message);
}
