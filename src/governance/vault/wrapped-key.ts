/** The stored form of a subject's data key: wrapped by a records key, or destroyed for good. */
import { base64url, type CryptoKey } from 'jose';
import { z } from 'zod';
import { type Bytes, joinBytes, utf8 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import type { RecordsKey, RecordsKeys } from './records-keys.ts';
import type { Subject } from './subject.ts';

export const vaultSchemaId = 'edgewise.vault.v1';

/** `vault/<subject>.json`. The entry of a destroyed key stays, so that no new key is made in its place. */
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

/** Returns 32 random bytes. */
export function newDataKey(): Bytes {
  return crypto.getRandomValues(new Uint8Array(dataKeyBytes));
}

/** Returns the data key as the base that other keys are derived from; not extractable. */
export function importDataKey(raw: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', raw, 'HKDF', false, ['deriveKey', 'deriveBits']);
}

/** Wraps the data key `raw` with the first records key. The result unwraps for this subject only. */
export async function wrapDataKey(
  raw: Bytes,
  subject: Subject,
  [first]: RecordsKeys,
  createdAt: string,
): Promise<LiveEntry> {
  const nonce = crypto.getRandomValues(new Uint8Array(nonceBytes));
  const sealed = await crypto.subtle.encrypt(aesParameters(nonce, subject, first), first.wrapping, raw);
  return {
    schema: vaultSchemaId,
    status: 'live',
    wrappedBy: first.id,
    key: base64url.encode(joinBytes([nonce, new Uint8Array(sealed)])),
    createdAt,
  };
}

/**
 * Returns the data key in `entry`.
 *
 * @throws EdgewiseError `internal` if no configured records key wrapped it, it was changed, or it is another subject's.
 */
export async function unwrapDataKey(entry: LiveEntry, subject: Subject, keys: RecordsKeys): Promise<Bytes> {
  const by = keys.find(({ id }) => id === entry.wrappedBy);
  if (by === undefined) {
    throw new EdgewiseError(
      'internal',
      `the key of ${subject} is wrapped by records key ${entry.wrappedBy}, which is not configured; add that key to EDGEWISE_RECORDS_KEYS`,
    );
  }
  const bytes = new Uint8Array(base64url.decode(entry.key));
  try {
    const raw = await crypto.subtle.decrypt(
      aesParameters(bytes.subarray(0, nonceBytes), subject, by),
      by.wrapping,
      bytes.subarray(nonceBytes),
    );
    return new Uint8Array(raw);
  } catch (error) {
    throw new EdgewiseError(
      'internal',
      `the wrapped key of ${subject} does not decrypt: it was changed, or stored for another subject`,
      {
        cause: error,
      },
    );
  }
}

function aesParameters(iv: Bytes, subject: Subject, { id }: RecordsKey) {
  return {
    name: 'AES-GCM',
    iv,
    additionalData: utf8(`${vaultSchemaId}\0${subject}\0${id}`),
  };
}
