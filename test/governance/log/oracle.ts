/** RFC 6962 §2.1 as written: recursive, over the leaves, with another SHA-256. Tests compare the log's results with it. */
import { createHash } from 'node:crypto';

const sha256 = (...parts: readonly Uint8Array[]) =>
  Uint8Array.from(parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest());

/** k: the largest power of two smaller than n. */
const split = (n: number): number => 2 ** ((n - 1).toString(2).length - 1);

export interface Oracle {
  /** MTH(D[n]) of the first n leaves. */
  root(size: number): Uint8Array;
  /** PATH(m, D[n]) */
  path(m: number, size: number): Uint8Array[];
  /** PROOF(m, D[n]) */
  consistency(m: number, size: number): Uint8Array[];
}

export function oracleOf(leaves: readonly Uint8Array[]): Oracle {
  const known = new Map<string, Uint8Array>();

  /** Computes each MTH(D[from:to]) once. */
  function root(from: number, to: number): Uint8Array {
    const key = `${from}:${to}`;
    const hash = known.get(key) ?? mth(from, to);
    known.set(key, hash);
    return hash;
  }

  function mth(from: number, to: number): Uint8Array {
    if (to === from) return sha256();
    if (to - from === 1) return sha256(Uint8Array.of(0), leaves[from] ?? new Uint8Array());
    const k = split(to - from);
    return sha256(Uint8Array.of(1), root(from, from + k), root(from + k, to));
  }

  function path(m: number, from: number, to: number): Uint8Array[] {
    if (to - from === 1) return [];
    const k = split(to - from);
    return m < k
      ? [...path(m, from, from + k), root(from + k, to)]
      : [...path(m - k, from + k, to), root(from, from + k)];
  }

  function subproof(m: number, from: number, to: number, isWhole: boolean): Uint8Array[] {
    if (m === to - from) return isWhole ? [] : [root(from, to)];
    const k = split(to - from);
    return m <= k
      ? [...subproof(m, from, from + k, isWhole), root(from + k, to)]
      : [...subproof(m - k, from + k, to, false), root(from, from + k)];
  }

  return {
    root: (size) => root(0, size),
    path: (m, size) => path(m, 0, size),
    consistency: (m, size) => subproof(m, 0, size, true),
  };
}
