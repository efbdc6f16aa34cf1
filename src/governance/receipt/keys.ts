/**
 * The keys that sign receipts and answers: Ed25519, named by their RFC 7638 thumbprints, so that a `kid` can mean one key
 * only. The first of the set signs. Those behind it are on their way in or out: their public halves stay published for as
 * long as what they signed is to be verified, for which the public half alone is enough (`d` taken out).
 */
import { type CryptoKey, calculateJwkThumbprint } from 'jose';
import { z } from 'zod';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { exportJwk } from '../export-jwk.ts';

/** As at `/.well-known/jwks.json` (RFC 7517, RFC 8037). */
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
 * @param text As in `EDGEWISE_SIGNING_KEYS`: a JWKS, the first key with its private half.
 * @throws EdgewiseError `invalid_request` saying which key is not usable and why, never what it is.
 */
export async function importSigningKeys(text: string): Promise<KeyRing> {
  const jwks = jwksSchema.safeParse(jsonOf(text));
  if (!jwks.success) {
    throw unusable(`the set of signing keys is not usable, wanted a JWKS {"keys":[…]} of at most ${maxKeys}`);
  }
  const keys = await Promise.all(jwks.data.keys.map((key, at) => importKey(key, `signing key ${at + 1}`)));
  const [first] = keys;
  if (first?.signing === undefined) {
    throw unusable(
      'signing key 1 is not usable: it is the one that signs, so wanted its private half (d) too',
    );
  }
  return {
    signing: { kid: first.jwk.kid, key: first.signing },
    verifying: byKid(keys, 'signing key'),
    publicJwks: { keys: keys.map(({ jwk }) => jwk) },
  };
}

/**
 * The keys of a JWKS document that receipts can be verified with; those of other kinds are passed over (RFC 7517 §5).
 *
 * @throws EdgewiseError `invalid_request` when it is no JWKS, or an Ed25519 key in it is not named by its thumbprint.
 */
export async function importVerifyingKeys(document: unknown): Promise<VerifyingKeys> {
  const jwks = jwksSchema.safeParse(document);
  if (!jwks.success) throw unusable(`the keys are no JWKS, wanted {"keys":[…]} of at most ${maxKeys}`);
  const ours = jwks.data.keys.filter((key) => jwkSchema.safeParse(key).success);
  return byKid(await Promise.all(ours.map((key, at) => importKey(key, `key ${at + 1}`))), 'key');
}

/** A new key, as it stands in `EDGEWISE_SIGNING_KEYS`. */
export async function generateSigningKey(): Promise<PrivateJwk> {
  const pair = await crypto.subtle.generateKey(ed25519, true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new EdgewiseError('internal', 'no Ed25519 key pair could be made');
  const exported = jwkSchema.safeParse(await exportJwk(pair.privateKey));
  if (exported.data?.d === undefined) {
    throw new EdgewiseError('internal', 'the Ed25519 key that was made could not be exported');
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
    throw unusable(`${what} is not usable: expected an Ed25519 JWK (kty OKP); ${checked.complaint}`);
  }
  const { x, d, kid } = checked.data;
  const jwk = await publicJwk(x);
  if (kid !== undefined && kid !== jwk.kid) {
    throw unusable(`${what} is not usable: its kid is not its RFC 7638 thumbprint, wanted ${jwk.kid}`);
  }
  const verifying = await importHalf({ x }, 'verify', what);
  const signing = d === undefined ? undefined : await importHalf({ x, d }, 'sign', what);
  if (signing !== undefined && !(await isPair(signing, verifying))) {
    throw unusable(`${what} is not usable: its public half (x) is not that of its private half (d)`);
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
    // What the runtime says of it may repeat it.
    throw unusable(`${what} is not usable: its members are not those of an Ed25519 key`);
  }
}

/** Runtimes differ in whether they hold the two halves against each other. */
async function isPair(signing: CryptoKey, verifying: CryptoKey): Promise<boolean> {
  const message = new Uint8Array(32);
  const signature = await crypto.subtle.sign(ed25519, signing, message);
  return crypto.subtle.verify(ed25519, verifying, signature, message);
}

function byKid(keys: readonly ImportedKey[], what: string): VerifyingKeys {
  const known = new Map<string, CryptoKey>();
  for (const [at, { jwk, verifying }] of keys.entries()) {
    if (known.has(jwk.kid)) throw unusable(`${what} ${at + 1} is one of those before it`);
    known.set(jwk.kid, verifying);
  }
  return known;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unusable(message: string): EdgewiseError {
  return new EdgewiseError('invalid_request', message);
}
