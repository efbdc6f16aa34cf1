/**
 * A record as it is stored: encrypted with AES-256-GCM under a key of its subject for one day, bound to its subject and
 * its id.
 *
 *     version (1) ‖ day (4, since 1970, big-endian) ‖ label (16) ‖ nonce (12) ‖ ciphertext and tag (16)
 *
 * A day has a key of its own because random nonces are good for 2³² records under one key (NIST SP 800-38D §8.3). The
 * label, too, is derived from the data key and the day: who holds the key finds a subject's records by it; to others it
 * tells which records of one day belong together, and with the key gone nobody can say to whom.
 */
import type { CryptoKey } from 'jose';
import { EdgewiseError } from '../../errors.ts';
import { hkdf } from './records-keys.ts';
import type { Subject } from './subject.ts';

const version = 1;
const labelAt = 5;
const nonceAt = 21;
const sealedAt = 33;
const tagBytes = 16;
const dayMs = 86_400_000;

/** What a record is longer by once it is sealed. */
export const sealedOverheadBytes = sealedAt + tagBytes;

/** What seals and opens the records of one subject on one day. */
export interface DayKey {
  readonly day: number;
  readonly key: CryptoKey;
  readonly label: Uint8Array<ArrayBuffer>;
}

/** @param atMs Milliseconds since 1970. */
export function dayOf(atMs: number): number {
  return Math.floor(atMs / dayMs);
}

/** @param base The subject's data key. */
export async function dayKey(base: CryptoKey, day: number): Promise<DayKey> {
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
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const sealed = new Uint8Array(bytes.byteLength + sealedOverheadBytes);
  sealed[0] = version;
  new DataView(sealed.buffer).setUint32(1, day);
  sealed.set(label, labelAt);
  crypto.getRandomValues(sealed.subarray(nonceAt, sealedAt));
  const encrypted = await crypto.subtle.encrypt(terms(sealed, subject, context), key, bytes);
  sealed.set(new Uint8Array(encrypted), sealedAt);
  return sealed;
}

/** The day that a sealed record is of; undefined for bytes that are none. */
export function dayOfSealed(sealed: Uint8Array<ArrayBuffer>): number | undefined {
  if (sealed.byteLength < sealedOverheadBytes || sealed[0] !== version) return undefined;
  return new DataView(sealed.buffer, sealed.byteOffset).getUint32(1);
}

/** Whether the record says that it is of the subject whose key this is: cheap, and no proof. */
export function isLabelled(sealed: Uint8Array<ArrayBuffer>, { label }: DayKey): boolean {
  return label.every((byte, at) => sealed[labelAt + at] === byte);
}

/** @throws EdgewiseError `internal` when it is another subject's, another record's, or was changed. */
export async function open(
  { key }: DayKey,
  subject: Subject,
  context: string,
  sealed: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const bytes = await crypto.subtle.decrypt(
      terms(sealed, subject, context),
      key,
      sealed.subarray(sealedAt),
    );
    return new Uint8Array(bytes);
  } catch (error) {
    throw new EdgewiseError('internal', 'a sealed record is not the one that was stored', { cause: error });
  }
}

/** A subject holds no NUL, so the parts cannot run into one another. */
function terms(sealed: Uint8Array<ArrayBuffer>, subject: Subject, context: string) {
  const bound = new TextEncoder().encode(`${subject}\0${context}`);
  const additionalData = new Uint8Array(nonceAt + bound.byteLength);
  additionalData.set(sealed.subarray(0, nonceAt));
  additionalData.set(bound, nonceAt);
  return { name: 'AES-GCM', iv: sealed.subarray(nonceAt, sealedAt), additionalData };
}
