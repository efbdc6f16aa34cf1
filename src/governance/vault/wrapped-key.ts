/** A subject's data key as it is stored: wrapped, or destroyed for good. */
import { base64url, type CryptoKey } from 'jose';
import { z } from 'zod';
import { EdgewiseError } from '../../errors.ts';
import type { RecordsKey, RecordsKeys } from './records-keys.ts';
import type { Subject } from './subject.ts';

export const vaultSchemaId = 'edgewise.vault.v1';

/** `vault/<subject>.json`. A destroyed key leaves this behind, so that none is made in its place. */
export const vaultEntrySchema = z.discriminatedUnion('status', [
  z.strictObject({
    schema: z.literal(vaultSchemaId),
    status: z.literal('live'),
    /** Id of the records key. */
    wrappedBy: z.string().min(1).max(64),
    /** Nonce (12 bytes), the key (32) and the tag (16) under AES-256-GCM. */
    key: z.string().regex(/^[A-Za-z0-9_-]{80}$/),
    createdAt: z.iso.datetime(),
  }),
  z.strictObject({
    schema: z.literal(vaultSchemaId),
    status: z.literal('destroyed'),
    destroyedAt: z.iso.datetime(),
  }),
]);
export type VaultEntry = z.output<typeof vaultEntrySchema>;
export type LiveEntry = Extract<VaultEntry, { status: 'live' }>;
export type DestroyedEntry = Extract<VaultEntry, { status: 'destroyed' }>;

const nonceBytes = 12;
const dataKeyBytes = 32;

/** 32 random bytes. */
export function newDataKey(): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(dataKeyBytes));
}

/** The data key as the base that sealing keys are derived from; it cannot be read back. */
export function importDataKey(raw: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', raw, 'HKDF', false, ['deriveKey', 'deriveBits']);
}

/** `raw` wrapped by the first of the records keys, for this subject and no other. */
export async function wrapped(
  raw: Uint8Array<ArrayBuffer>,
  subject: Subject,
  [first]: RecordsKeys,
  createdAt: string,
): Promise<LiveEntry> {
  const nonce = crypto.getRandomValues(new Uint8Array(nonceBytes));
  const sealed = await crypto.subtle.encrypt(terms(nonce, subject, first), first.wrapping, raw);
  const bytes = new Uint8Array(nonceBytes + sealed.byteLength);
  bytes.set(nonce);
  bytes.set(new Uint8Array(sealed), nonceBytes);
  return {
    schema: vaultSchemaId,
    status: 'live',
    wrappedBy: first.id,
    key: base64url.encode(bytes),
    createdAt,
  };
}

/**
 * @throws EdgewiseError `internal` when no configured records key wrapped it, or it was changed, or is another subject's.
 */
export async function unwrapped(
  entry: LiveEntry,
  subject: Subject,
  keys: RecordsKeys,
): Promise<Uint8Array<ArrayBuffer>> {
  const by = keys.find(({ id }) => id === entry.wrappedBy);
  if (by === undefined) {
    throw new EdgewiseError(
      'internal',
      `the key of ${subject} is wrapped by records key ${entry.wrappedBy}, which is not configured`,
    );
  }
  const bytes = new Uint8Array(base64url.decode(entry.key));
  try {
    const raw = await crypto.subtle.decrypt(
      terms(bytes.subarray(0, nonceBytes), subject, by),
      by.wrapping,
      bytes.subarray(nonceBytes),
    );
    return new Uint8Array(raw);
  } catch (error) {
    throw new EdgewiseError('internal', `the wrapped key of ${subject} is not the one that was stored`, {
      cause: error,
    });
  }
}

function terms(iv: Uint8Array<ArrayBuffer>, subject: Subject, { id }: RecordsKey) {
  return {
    name: 'AES-GCM',
    iv,
    additionalData: new TextEncoder().encode(`${vaultSchemaId}\0${subject}\0${id}`),
  };
}
