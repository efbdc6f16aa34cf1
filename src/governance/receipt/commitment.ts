/**
 * Commitments to what was sent and answered: SHA-256 under salts that only the caller is given, so that nobody else can try
 * out which inputs would fit, and whoever has a salt and the data can show that they do.
 *
 *     commitment = base64url( SHA-256( salt (32 bytes) ‖ "edgewise.commitment.v1" ‖ 0 ‖ side ‖ 0 ‖ edgewise.tensors.v1 ) )
 *     salt       = SHA-256( secret (32 bytes) ‖ "edgewise.salt." ‖ side )
 *     side       = "inputs" or "outputs"
 *
 * The caller is given the secret. Each side has a salt of its own, from which neither the secret nor the other salt can be
 * told: so one side can be shown and the other kept. (The secret is uniformly random and all lengths are fixed, so one block
 * of SHA-256 does what HKDF would do in eight; every answer waits for it.) A receipt says so by `"salts": "edgewise.salts.v1"`; in older ones,
 * without that member, the secret itself is the salt of both sides.
 *
 * Salted digests as SD-JWT has them (RFC 9901 §4.2.3). The canonical bytes say how long each part is, so none is the
 * beginning of another's, and what SHA-256 lets one append (no HMAC is around it) makes no second thing committed to. An
 * HMAC would be two digests more for each, which every answer would wait for.
 */

import { base64url } from 'jose';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import { sha256Of, sha256Sync } from '../sha256.ts';
import { canonicalTensors } from './canonical-tensors.ts';

export type Side = 'inputs' | 'outputs';
export const saltBytes = 32;

/** As receipts name the way in which salts come from the secret. */
export const saltsForm = 'edgewise.salts.v1';

const saltLabels: { readonly [S in Side]: Uint8Array } = {
  inputs: new TextEncoder().encode('edgewise.salt.inputs'),
  outputs: new TextEncoder().encode('edgewise.salt.outputs'),
};

/** The salt of one side. At once: it is one block of SHA-256. */
export function deriveSalt(secret: Uint8Array, side: Side): Bytes {
  const label = saltLabels[side];
  const message = new Uint8Array(saltBytes + label.length);
  message.set(secret);
  message.set(label, saltBytes);
  return sha256Sync(message);
}

/** Salts as somebody gives them who wants to open a receipt: the secret, or the salt of the side that they may see. */
export interface GivenSalts {
  /** As in the header `Edgewise-Receipt-Salt`. */
  readonly salt?: string | undefined;
  readonly inputSalt?: string | undefined;
  readonly outputSalt?: string | undefined;
}

/**
 * The salt of one side of a receipt; undefined when it was not given.
 *
 * @param form The receipt's `data.salts`.
 * @throws EdgewiseError `invalid_request` for a salt that cannot be read.
 */
export function saltOf(side: Side, given: GivenSalts, form: typeof saltsForm | undefined): Bytes | undefined {
  const own = side === 'inputs' ? given.inputSalt : given.outputSalt;
  if (own !== undefined) return parseSalt(own);
  if (given.salt === undefined) return undefined;
  const secret = parseSalt(given.salt);
  return form === undefined ? secret : deriveSalt(secret, side);
}

/** What stands behind the salt and before the canonical bytes: no commitment is ever one to anything else. */
const domains: { readonly [S in Side]: Uint8Array } = {
  inputs: new TextEncoder().encode('edgewise.commitment.v1\0inputs\0'),
  outputs: new TextEncoder().encode('edgewise.commitment.v1\0outputs\0'),
};

/** @throws EdgewiseError `invalid_request` when `text` is not the one base64url text of 32 bytes. */
export function parseSalt(text: string): Bytes {
  const salt = /^[A-Za-z0-9_-]{43}$/.test(text) ? new Uint8Array(base64url.decode(text)) : undefined;
  if (salt === undefined || base64url.encode(salt) !== text) {
    throw new EdgewiseError(
      'invalid_request',
      `the salt is not usable, wanted ${saltBytes} bytes in base64url (43 characters)`,
    );
  }
  return salt;
}

/** What is hashed is copied or done with before `sha256Of` returns, so one is enough for all. */
const scratch = new Uint8Array(16 * 1024);

/** @returns base64url of the 32 bytes; a promise unless the tensors are a few numbers. */
export function commit(salt: Bytes, side: Side, tensors: NamedTensors): string | Promise<string> {
  const message = canonicalTensors(tensors, prefixOf(salt, side), scratch);
  const digest = message instanceof Promise ? message.then(sha256Of) : sha256Of(message);
  return digest instanceof Promise
    ? digest.then((bytes) => base64url.encode(bytes))
    : base64url.encode(digest);
}

/** Whether `commitment` is the one to these tensors under this salt. */
export async function opens(
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
