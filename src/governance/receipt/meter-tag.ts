/**
 * Pseudonyms of meters in the public log: one tag for each meter and month, equal in all its receipts. Without the key, a
 * tag reveals neither its meter nor which tags of two months share a meter; with a tag, anyone can sum its entries.
 */

import { base64url, type CryptoKey } from 'jose';
import { Lru } from '../../async/lru.ts';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { meterTagBytes } from '../log/entry.ts';

export interface MeterTagger {
  /**
   * Returns the tag of `meter` in the month (UTC) of `atMs`. It is a promise only the first time; nearly always the tag is
   * cached.
   */
  tag(meter: string, atMs: number): Bytes | Promise<Bytes>;
  /** Returns the meter's tags in a month such as `2026-11`: one for each key, because keys may have rotated within it. */
  tags(meter: string, month: string): Promise<readonly Bytes[]>;
}

const hmac = { name: 'HMAC', hash: 'SHA-256' };
const keyBytes = 32;
const maxTags = 4096;
const dayMs = 86_400_000;
const encoder = new TextEncoder();

/**
 * @param recordsKeys The keys of `EDGEWISE_RECORDS_KEYS`, each 32 bytes in base64url. The first derives the key of new tags,
 * the others those of earlier tags.
 * @throws EdgewiseError `invalid_request`, which names the position of a malformed key, never its value.
 */
export async function createMeterTagger(recordsKeys: readonly string[]): Promise<MeterTagger> {
  const keys = await Promise.all(recordsKeys.map(deriveMeterKey));
  const [first] = keys;
  if (first === undefined) {
    throw new EdgewiseError('invalid_request', 'there is no records key; expected at least one');
  }
  const known = new Lru<string, Bytes>({ maxBytes: maxTags });
  // Cached by day, because formatting the date takes longer than everything else here.
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

/** Decodes the tag of a receipt, which is in base64url. */
export function parseMeterTag(text: string): Bytes {
  return new Uint8Array(base64url.decode(text));
}

/** Returns the month in UTC, such as `2026-11`. */
export function monthOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 7);
}

/** Meters contain no line break, so each pair of meter and month has its own message. */
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
      `records key ${at + 1} is malformed; expected ${keyBytes} random bytes in base64url (43 characters)`,
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
