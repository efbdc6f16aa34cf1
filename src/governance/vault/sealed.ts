/**
 * The stored form of a record: encrypted with AES-256-GCM under its subject's key for one day, and bound to its subject
 * and its id.
 *
 *     version (1) ‖ day (4, since 1970, big-endian) ‖ label (16) ‖ nonce (12) ‖ ciphertext and tag (16)
 *
 * Each day has its own key because random nonces are safe for 2³² records per key (NIST SP 800-38D §8.3). The label is
 * derived from the data key and the day. The holder of the data key finds a subject's records by their label; to others, a
 * label shows only which records of one day belong to the same subject. Once the data key is destroyed, no label can be
 * traced to a subject.
 */
import type { CryptoKey } from 'jose';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { hkdf } from './records-keys.ts';
import type { Subject } from './subject.ts';

const version = 1;
const labelAt = 5;
const nonceAt = 21;
const sealedAt = 33;
const tagBytes = 16;
const dayMs = 86_400_000;

/** How many bytes longer a sealed record is than its plain bytes. */
export const sealedOverheadBytes = sealedAt + tagBytes;

/** Seals and opens the records of one subject on one day. */
export interface DayKey {
  readonly day: number;
  readonly key: CryptoKey;
  readonly label: Bytes;
}

/** Returns the day that `atMs` (milliseconds since 1970) falls on, counted from 1970. */
export function dayOf(atMs: number): number {
  return Math.floor(atMs / dayMs);
}

/** @param base The subject's data key. */
export async function deriveDayKey(base: CryptoKey, day: number): Promise<DayKey> {
  const [key, label] = await Promise.all([
    crypto.subtle.deriveKey(
      hkdf(`edgewise.vault.v1\0seal\0${day}`),
      base,
      { name: 'AES-GCM', length: 256 },
      false,
      ['encrypt', 'decrypt'],
    ),
    crypto.subtle.deriveBits(hkdf(`edgewise.vault.v1\0label\0${day}`), base, (nonceAt - labelAt) * 8),
  ]);
  return { day, key, label: new Uint8Array(label) };
}

export async function seal(
  { day, key, label }: DayKey,
  subject: Subject,
  context: string,
  bytes: Bytes,
): Promise<Bytes> {
  const sealed = new Uint8Array(bytes.byteLength + sealedOverheadBytes);
  sealed[0] = version;
  new DataView(sealed.buffer).setUint32(1, day);
  sealed.set(label, labelAt);
  crypto.getRandomValues(sealed.subarray(nonceAt, sealedAt));
  const encrypted = await crypto.subtle.encrypt(aesParameters(sealed, subject, context), key, bytes);
  sealed.set(new Uint8Array(encrypted), sealedAt);
  return sealed;
}

/** Returns the day on which the record was sealed; undefined for bytes that are not a sealed record. */
export function dayOfSealed(sealed: Bytes): number | undefined {
  if (sealed.byteLength < sealedOverheadBytes || sealed[0] !== version) return undefined;
  return new DataView(sealed.buffer, sealed.byteOffset).getUint32(1);
}

/** Reports whether the record carries the label of this key's subject. Cheap; not a proof. */
export function isLabelled(sealed: Bytes, { label }: DayKey): boolean {
  return label.every((byte, at) => sealed[labelAt + at] === byte);
}

/**
 * Decrypts a sealed record.
 *
 * @throws EdgewiseError `internal` if it was sealed for another subject or context, or was changed.
 */
export async function open(
  { key }: DayKey,
  subject: Subject,
  context: string,
  sealed: Bytes,
): Promise<Bytes> {
  try {
    const bytes = await crypto.subtle.decrypt(
      aesParameters(sealed, subject, context),
      key,
      sealed.subarray(sealedAt),
    );
    return new Uint8Array(bytes);
  } catch (error) {
    throw new EdgewiseError(
      'internal',
      'a sealed record does not decrypt: it was changed, or sealed for another subject or id',
      { cause: error },
    );
  }
}

/** A subject contains no NUL, so subject and context cannot be confused. */
function aesParameters(sealed: Bytes, subject: Subject, context: string) {
  const bound = new TextEncoder().encode(`${subject}\0${context}`);
  const additionalData = new Uint8Array(nonceAt + bound.byteLength);
  additionalData.set(sealed.subarray(0, nonceAt));
  additionalData.set(bound, nonceAt);
  return { name: 'AES-GCM', iv: sealed.subarray(nonceAt, sealedAt), additionalData };
}
