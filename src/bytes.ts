/** Bytes: joined, compared, and written as UTF-8, hexadecimal and base64 text. Pure. */
import { EdgewiseError } from './errors.ts';

/** Bytes with a buffer of their own kind, which Web Crypto and `Response` ask for. */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();

export function utf8(text: string): Bytes {
  return new Uint8Array(encoder.encode(text));
}

/** Returns the parts as one array; a single part is returned as it is, not copied. */
export function joinBytes(parts: readonly Uint8Array[]): Bytes {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined && hasOwnBuffer(only)) return only;
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.byteLength;
  }
  return joined;
}

/** False for bytes in shared memory only; the types of streams do not tell. */
function hasOwnBuffer(bytes: Uint8Array): bytes is Bytes {
  return bytes.buffer instanceof ArrayBuffer;
}

export function equalBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.byteLength === other.byteLength && one.every((byte, at) => byte === other[at]);
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Returns two lower-case hexadecimal digits for each byte. */
export function toHex(bytes: Uint8Array): string {
  let hex = '';
  for (const byte of bytes) hex += hexOfByte[byte];
  return hex;
}

/** Arguments of one call: far below what engines take. */
const pieceLength = 4096;

/** Returns base64 with padding (RFC 4648 §4). */
export function encodeBase64(bytes: Uint8Array): string {
  let binary = '';
  for (let at = 0; at < bytes.length; at += pieceLength) {
    binary += String.fromCharCode(...bytes.subarray(at, at + pieceLength));
  }
  return btoa(binary);
}

/**
 * Decodes base64 with padding (RFC 4648 §4). Returns undefined unless `text` is the canonical text of its bytes: no white
 * space, full padding, no bits left over. So a text that was changed anywhere stands for other bytes or for none.
 */
export function decodeBase64(text: string): Bytes | undefined {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    return undefined;
  }
  if (btoa(binary) !== text) return undefined;
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/**
 * Decodes as `decodeBase64` does.
 *
 * @param what Names the text in the message.
 * @throws EdgewiseError `invalid_request`
 */
export function parseBase64(text: string, what: string): Bytes {
  const bytes = decodeBase64(text);
  if (bytes !== undefined) return bytes;
  throw new EdgewiseError('invalid_request', `${what} is not base64 with padding (RFC 4648 §4)`);
}
