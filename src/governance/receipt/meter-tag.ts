/**
 * Pseudonyms under which the public log counts: one for a meter in a month, the same on all of its receipts. Nobody without
 * the key can tell whose it is, nor which tags of two months are of the same meter; whoever is told a tag can add up.
 */

import { base64url, type CryptoKey } from 'jose';
import { Lru } from '../../async/lru.ts';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { meterTagBytes } from '../log/entry.ts';

export interface MeterTagger {
  /**
   * The tag of `meter` in the month (UTC) that `atMs` lies in. Not a promise where it is known already, which is nearly
   * always.
   */
  tag(meter: string, atMs: number): Bytes | Promise<Bytes>;
  /** What the meter had for tags in a month, `2026-11`: one for each key, since keys may have rotated within it. */
  tags(meter: string, month: string): Promise<readonly Bytes[]>;
}

const hmac = { name: 'HMAC', hash: 'SHA-256' };
const keyBytes = 32;
const maxTags = 4096;
const dayMs = 86_400_000;
const encoder = new TextEncoder();

/**
 * @param recordsKeys As in `EDGEWISE_RECORDS_KEYS`, each 32 bytes in base64url: from the first, the key is derived that tags
 * from now on; from the others those that did.
 * @throws EdgewiseError `invalid_request` naming the position, never the value, of one that is not usable.
 */
export async function createMeterTagger(recordsKeys: readonly string[]): Promise<MeterTagger> {
  const keys = await Promise.all(recordsKeys.map(deriveMeterKey));
  const [first] = keys;
  if (first === undefined) {
    throw new EdgewiseError('invalid_request', 'there is no records key to derive the meters’ key from');
  }
  const known = new Lru<string, Bytes>({ maxBytes: maxTags });
  // Days make up months, and to look at a calendar takes longer than all else here.
  let latest = { day: Number.NaN, month: '' };
  const cachedMonth = (atMs: number): string => {
    const day = Math.floor(atMs / dayMs);
    if (latest.day !== day) latest = { day, month: monthOf(atMs) };
    return latest.month;
  };
  return {
    tag(meter, atMs) {
      const message = messageOf(meter, cachedMonth(atMs));
      return (
        known.get(message) ??
        tagUnder(first, message).then((tag) => {
          known.set(message, tag, 1);
          return tag;
        })
      );
    },
    tags: (meter, month) => Promise.all(keys.map((key) => tagUnder(key, messageOf(meter, month)))),
  };
}

/** The tag as a receipt has it, in base64url. */
export function tagOf(text: string): Bytes {
  return new Uint8Array(base64url.decode(text));
}

/** The month in UTC, `2026-11`. */
export function monthOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 7);
}

/** Names hold no line break, so no two pairs of a meter and a month are written the same. */
function messageOf(meter: string, month: string): string {
  return `${meter}\n${month}`;
}

async function tagUnder(key: CryptoKey, message: string): Promise<Bytes> {
  const mac = await crypto.subtle.sign(hmac.name, key, encoder.encode(message));
  return new Uint8Array(mac).slice(0, meterTagBytes);
}

async function deriveMeterKey(text: string, at: number): Promise<CryptoKey> {
  const raw = /^[A-Za-z0-9_-]{43}$/.test(text) ? new Uint8Array(base64url.decode(text)) : undefined;
  if (raw === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `records key ${at + 1} is not usable, wanted ${keyBytes} random bytes in base64url (43 characters)`,
    );
  }
  const base = await crypto.subtle.importKey('raw', raw, 'HKDF', false, ['deriveKey']);
  const derivation = {
    name: 'HKDF',
    hash: 'SHA-256',
    salt: new Uint8Array(0),
    info: encoder.encode('edgewise.meter.v1'),
  };
  return crypto.subtle.deriveKey(derivation, base, { ...hmac, length: keyBytes * 8 }, false, ['sign']);
}
