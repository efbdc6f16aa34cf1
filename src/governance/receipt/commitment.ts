/**
 * Commitments to what was sent and answered: SHA-256 under a salt that only the caller is given, so that nobody else can try
 * out which inputs would fit, and whoever has salt and data can show that they do.
 *
 *     base64url( SHA-256( salt (32 bytes) ‖ "edgewise.commitment.v1" ‖ 0 ‖ "inputs" or "outputs" ‖ 0 ‖ edgewise.tensors.v1 ) )
 *
 * Salted digests as SD-JWT has them (RFC 9901 §4.2.3). The canonical bytes say how long each part is, so none is the
 * beginning of another's, and what SHA-256 lets one append (no HMAC is around it) makes no second thing committed to. An
 * HMAC would be two digests more for each, which every answer would wait for.
 */
import { base64url } from 'jose';
import { EdgewiseError } from '../../errors.ts';
import { sha256Of } from '../sha256.ts';
import { canonicalTensors, type NamedTensors } from './canonical-tensors.ts';

export type Side = 'inputs' | 'outputs';
type Bytes = Uint8Array<ArrayBuffer>;

export const saltBytes = 32;

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
