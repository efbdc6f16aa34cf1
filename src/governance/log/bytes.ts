/** Bytes and their texts, as the log's formats write them. */
import { EdgewiseError } from '../../errors.ts';

export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();

export function utf8(text: string): Bytes {
  return new Uint8Array(encoder.encode(text));
}

export function concat(parts: readonly Uint8Array[]): Bytes {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export function equalBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** Standard alphabet, padded (RFC 4648 §4). */
export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

const base64Form = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * Takes the one canonical text of each value: no spaces, full padding, no stray bits.
 *
 * @throws EdgewiseError `invalid_request`
 */
export function fromBase64(text: string, what: string): Bytes {
  if (base64Form.test(text) && text.length % 4 === 0) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    if (toBase64(bytes) === text) return bytes;
  }
  throw new EdgewiseError(
    'invalid_request',
    `${what} is not usable: wanted base64 with padding (RFC 4648 §4)`,
  );
}
