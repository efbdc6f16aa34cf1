/** Base64 with padding (RFC 4648 §4), as JSON of protobuf messages and PEM have it. */

export type Bytes = Uint8Array<ArrayBuffer>;

/** Arguments of one call: far below what engines take. */
const pieceLength = 4096;

export function encodeBase64(bytes: Uint8Array): string {
  let binary = '';
  for (let at = 0; at < bytes.length; at += pieceLength) {
    binary += String.fromCharCode(...bytes.subarray(at, at + pieceLength));
  }
  return btoa(binary);
}

/**
 * The bytes, or undefined where `text` is not the one text that stands for them: no white space, no missing padding, no
 * bits left over. So a text that was changed anywhere stands for other bytes or for none.
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
