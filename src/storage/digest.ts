import { type Bytes, toHex } from '../bytes.ts';
import { EdgewiseError } from '../errors.ts';
import type { Digest } from './types.ts';

const digestForm = /^sha256:[0-9a-f]{64}$/;
const prefix = 'sha256:';

export function isDigest(value: string): value is Digest {
  return digestForm.test(value);
}

/** @throws EdgewiseError `invalid_request` */
export function parseDigest(value: string): Digest {
  if (!isDigest(value)) {
    throw new EdgewiseError(
      'invalid_request',
      `digest ${JSON.stringify(value.slice(0, 100))} is not usable; expected "sha256:" and 64 lower-case hex digits`,
    );
  }
  return value;
}

/** Returns the 64 hex digits. */
export function digestHex(digest: Digest): string {
  return digest.slice(prefix.length);
}

/** Returns the SHA-256 digest of `bytes`. */
export async function digestOf(bytes: Bytes): Promise<Digest> {
  return `${prefix}${toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)))}`;
}

export async function matchesDigest(bytes: Bytes, digest: Digest): Promise<boolean> {
  return (await digestOf(bytes)) === digest;
}

/** Returns the key under which every driver with string keys stores a blob. */
export function blobKey(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}
