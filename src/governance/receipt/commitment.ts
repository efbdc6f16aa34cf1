/**
 * Commitments to inputs and outputs: SHA-256 with salts that only the caller receives. Without a salt, inputs cannot be
 * guessed by trial; with a salt and the data, anyone can prove that they match.
 *
 *     commitment = base64url( SHA-256( salt (32 bytes) ‖ "edgewise.commitment.v1" ‖ 0 ‖ side ‖ 0 ‖ edgewise.tensors.v1 ) )
 *     salt       = SHA-256( secret (32 bytes) ‖ "edgewise.salt." ‖ side )
 *     side       = "inputs" or "outputs"
 *
 * The caller receives the secret. Each side has its own salt, which reveals neither the secret nor the other salt, so one
 * side can be disclosed without the other. (The secret is uniformly random and all lengths are fixed, so one block of
 * SHA-256 replaces HKDF's eight; every answer waits for it.) Such a receipt has `"salts": "edgewise.salts.v1"`. In older
 * receipts, without that member, the secret itself is the salt of both sides.
 *
 * These are salted digests as in SD-JWT (RFC 9901 §4.2.3). The canonical bytes contain the length of each part, so no form
 * is a prefix of another, and SHA-256's length extension yields no second committed value. An HMAC would prevent length
 * extension too, but every answer would wait for two more digests.
 */

import { base64url } from 'jose';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import { sha256Of, sha256Sync } from '../sha256.ts';
import { canonicalTensors } from './canonical-tensors.ts';

export type Side = 'inputs' | 'outputs';
export const saltBytes = 32;

/** The name, in receipts, of this derivation of salts from the secret. */
export const saltsForm = 'edgewise.salts.v1';

const saltLabels: { readonly [S in Side]: Uint8Array } = {
  inputs: new TextEncoder().encode('edgewise.salt.inputs'),
  outputs: new TextEncoder().encode('edgewise.salt.outputs'),
};

/** Derives the salt of one side, synchronously: it is one block of SHA-256. */
export function deriveSalt(secret: Uint8Array, side: Side): Bytes {
  const label = saltLabels[side];
  const message = new Uint8Array(saltBytes + label.length);
  message.set(secret);
  message.set(label, saltBytes);
  return sha256Sync(message);
}

/** Salts that a verifier has: the secret, or the salts of single sides. */
export interface GivenSalts {
  /** The secret, from the header `Edgewise-Receipt-Salt`. */
  readonly salt?: string | undefined;
  readonly inputSalt?: string | undefined;
  readonly outputSalt?: string | undefined;
}

/**
 * Returns the salt of one side of a receipt; undefined if it was not given.
 *
 * @param form The receipt's `data.salts`.
 * @throws EdgewiseError `invalid_request` for a malformed salt.
 */
export function saltOf(side: Side, given: GivenSalts, form: typeof saltsForm | undefined): Bytes | undefined {
  const own = side === 'inputs' ? given.inputSalt : given.outputSalt;
  if (own !== undefined) return parseSalt(own);
  if (given.salt === undefined) return undefined;
  const secret = parseSalt(given.salt);
  return form === undefined ? secret : deriveSalt(secret, side);
}

/** Domain separation between the salt and the canonical bytes, so that a commitment has one meaning only. */
const domains: { readonly [S in Side]: Uint8Array } = {
  inputs: new TextEncoder().encode('edgewise.commitment.v1\0inputs\0'),
  outputs: new TextEncoder().encode('edgewise.commitment.v1\0outputs\0'),
};

/** @throws EdgewiseError `invalid_request` unless `text` is the canonical base64url of 32 bytes. */
export function parseSalt(text: string): Bytes {
  const salt = /^[A-Za-z0-9_-]{43}$/.test(text) ? new Uint8Array(base64url.decode(text)) : undefined;
  if (salt === undefined || base64url.encode(salt) !== text) {
    throw new EdgewiseError(
      'invalid_request',
      `the salt is malformed; expected ${saltBytes} bytes in base64url (43 characters)`,
    );
  }
  return salt;
}

/** Shared by all calls: `sha256Of` has copied or hashed its input when it returns. */
const scratch = new Uint8Array(16 * 1024);

/** Computes a commitment in base64url; a promise unless the tensors are only a few numbers. */
export function commit(salt: Bytes, side: Side, tensors: NamedTensors): string | Promise<string> {
  const message = canonicalTensors(tensors, prefixOf(salt, side), scratch);
  const digest = message instanceof Promise ? message.then(sha256Of) : sha256Of(message);
  return digest instanceof Promise
    ? digest.then((bytes) => base64url.encode(bytes))
    : base64url.encode(digest);
}

/** Reports whether `commitment` is the commitment to these tensors with this salt. */
export async function matchesCommitment(
  commitment: string,
  salt: Bytes,
  side: Side,
  tensors: NamedTensors,
): Promise<boolean> {
  return (await commit(salt, side, tensors)) === commitment;
}

function prefixOf(salt: Bytes, side: Side): Uint8Array {
  const domain = domains[side];
  const prefix = new Uint8Array(saltBytes + domain.length);
  prefix.set(salt);
  prefix.set(domain, saltBytes);
  return prefix;
}
