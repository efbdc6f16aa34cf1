/** BYTES in binary: each element is a 4-byte little-endian length followed by its bytes. */
import { invalid, mismatch } from './fail.ts';

const lengthBytes = 4;

// A byte order mark at the start of an element is part of it.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * Reads `count` strings, which must fill `block` exactly.
 *
 * @throws EdgewiseError `shape_mismatch` for another number of elements; `invalid_request` for an element that reaches
 * beyond the block or is not UTF-8.
 */
export function readByteElements(what: string, block: Uint8Array, count: number): readonly string[] {
  if (count * lengthBytes > block.byteLength) {
    throw mismatch(
      `${what} needs ${count} BYTES elements; ${block.byteLength} bytes cannot hold them (${lengthBytes} bytes of length each)`,
    );
  }
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const elements: string[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    const start = at + lengthBytes;
    const end = start <= block.byteLength ? start + view.getUint32(at, true) : Number.POSITIVE_INFINITY;
    if (end > block.byteLength) {
      throw invalid(
        `element ${index} of ${what} reaches beyond its ${block.byteLength} bytes of binary data`,
      );
    }
    elements.push(decodeText(what, index, block.subarray(start, end)));
    at = end;
  }
  if (at !== block.byteLength) {
    throw mismatch(
      `${what} needs ${count} BYTES elements; its binary data has ${block.byteLength - at} more bytes after the last`,
    );
  }
  return elements;
}

/** Decodes one element. @throws EdgewiseError `invalid_request` if it is not UTF-8. */
export function decodeText(what: string, index: number, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalid(`element ${index} of ${what} is not UTF-8 text; BYTES tensors carry text here`);
  }
}

/** Returns the bytes that `elements` take as a binary block. */
export function byteElementsSize(elements: readonly string[]): number {
  let size = lengthBytes * elements.length;
  for (const element of elements) size += utf8Length(element);
  return size;
}

/** Writes `elements` into `target`, which has their size. */
export function writeByteElements(elements: readonly string[], target: Uint8Array): void {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  let at = 0;
  for (const element of elements) {
    const { written } = encoder.encodeInto(element, target.subarray(at + lengthBytes));
    view.setUint32(at, written, true);
    at += lengthBytes + written;
  }
}

/** Returns the UTF-8 length of `text`; a lone surrogate counts as the replacement character that TextEncoder writes. */
function utf8Length(text: string): number {
  let length = text.length;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x80) continue;
    if (code < 0x800) {
      length += 1;
    } else if (code >= 0xd800 && code < 0xdc00 && isLowSurrogate(text.charCodeAt(at + 1))) {
      length += 2;
      at++;
    } else {
      length += 2;
    }
  }
  return length;
}

function isLowSurrogate(code: number): boolean {
  return code >= 0xdc00 && code < 0xe000;
}
