/** The curves of model signatures (OpenSSF Model Signing v1.0), and the encoding of a signature. */
import type { Bytes } from '../../bytes.ts';
import { derTag, readDerSequence, writeDer } from './der.ts';

export const curveNames = ['P-256', 'P-384', 'P-521'] as const;
export type CurveName = (typeof curveNames)[number];

export interface Curve {
  readonly name: CurveName;
  /** The hash of the curve's strength. */
  readonly hash: 'SHA-256' | 'SHA-384' | 'SHA-512';
  /** Length of a coordinate, and of each half of a signature. */
  readonly bytes: number;
  /** The object identifier in DER (RFC 5480 §2.1.1.1). */
  readonly oid: Bytes;
}

export const curves: { readonly [N in CurveName]: Curve } = {
  'P-256': { name: 'P-256', hash: 'SHA-256', bytes: 32, oid: oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7) },
  'P-384': { name: 'P-384', hash: 'SHA-384', bytes: 48, oid: oid(0x2b, 0x81, 4, 0, 0x22) },
  'P-521': { name: 'P-521', hash: 'SHA-512', bytes: 66, oid: oid(0x2b, 0x81, 4, 0, 0x23) },
};

function oid(...content: readonly number[]): Bytes {
  return writeDer(derTag.oid, Uint8Array.from(content));
}

/**
 * Converts a signature from DER (SEQUENCE of r and s, RFC 3279 §2.2.3), as in bundles, to r and s of fixed length, as for
 * Web Crypto. Returns undefined unless it is the only DER form of two positive numbers of the curve's size.
 */
export function rawSignature(der: Bytes, { bytes }: Curve): Bytes | undefined {
  const halves = readDerSequence(der);
  if (halves?.length !== 2) return undefined;
  const raw = new Uint8Array(2 * bytes);
  for (const [index, { tag, content }] of halves.entries()) {
    const first = content[0];
    if (tag !== derTag.integer || first === undefined || first >= 0x80) return undefined;
    const isPadded = first === 0;
    // DER has a leading zero only if the number would be negative without it.
    if (isPadded && (content[1] ?? 0) < 0x80) return undefined;
    const digits = isPadded ? content.subarray(1) : content;
    if (digits.length > bytes) return undefined;
    raw.set(digits, (index + 1) * bytes - digits.length);
  }
  return raw;
}
