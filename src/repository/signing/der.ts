/** The part of DER (X.690) that public keys and signatures on elliptic curves need. Each value has one accepted form. */
import { type Bytes, joinBytes } from '../../bytes.ts';

export const derTag = {
  integer: 0x02,
  bitString: 0x03,
  oid: 0x06,
  sequence: 0x30,
} as const;

export interface DerElement {
  readonly tag: number;
  readonly content: Bytes;
  /** Position after the element. */
  readonly end: number;
}

/** Reads the element that begins at `at`; undefined if there is none. */
export function readDer(bytes: Bytes, at = 0): DerElement | undefined {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) return undefined;
  let length = first;
  let begin = at + 2;
  if (first >= 0x80) {
    const octets = first - 0x80;
    // DER has no indefinite lengths, and no length here needs more than two octets.
    if (octets < 1 || octets > 2) return undefined;
    length = 0;
    for (const octet of bytes.subarray(begin, begin + octets)) length = length * 256 + octet;
    begin += octets;
    if (length < (octets === 1 ? 0x80 : 0x100)) return undefined;
  }
  const end = begin + length;
  return end > bytes.length ? undefined : { tag, content: bytes.slice(begin, end), end };
}

/** Reads all elements of `bytes`; undefined if they are not only elements. */
function readDerList(bytes: Bytes): readonly DerElement[] | undefined {
  const elements: DerElement[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = readDer(bytes, at);
    if (element === undefined) return undefined;
    elements.push(element);
    at = element.end;
  }
  return elements;
}

/** Reads the elements of a sequence that spans all of `bytes`; undefined if `bytes` is not one. */
export function readDerSequence(bytes: Bytes): readonly DerElement[] | undefined {
  const element = readDer(bytes);
  if (element?.tag !== derTag.sequence || element.end !== bytes.length) return undefined;
  return readDerList(element.content);
}

export function writeDer(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return joinBytes([Uint8Array.from(head), ...parts]);
}
