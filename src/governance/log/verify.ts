/** The checks of Merkle proofs, by the algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2. Nothing given to them is trusted. */
import { equalBytes } from '../../bytes.ts';
import { hashBytes, nodeHash } from './merkle.ts';

export interface InclusionClaim {
  readonly index: number;
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly path: readonly Uint8Array[];
  readonly root: Uint8Array;
}

/** Whether the leaf stands at `index` in the tree of `size` leaves with this root. */
export function verifyInclusion(claim: InclusionClaim): boolean {
  const { index, size, leafHash, path, root } = claim;
  if (!isCount(index) || !isCount(size) || index >= size || ![leafHash, ...path].every(isHash)) return false;
  let position = index;
  let last = size - 1;
  let hash = leafHash;
  for (const sibling of path) {
    if (last === 0) return false;
    if (isOdd(position) || position === last) {
      hash = nodeHash(sibling, hash);
      // A node without a sibling stands unchanged in the rows above, up to where it is a right child.
      while (!isOdd(position) && position !== 0) {
        position = half(position);
        last = half(last);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    position = half(position);
    last = half(last);
  }
  return last === 0 && equalBytes(hash, root);
}

export interface ConsistencyClaim {
  readonly oldSize: number;
  readonly oldRoot: Uint8Array;
  readonly newSize: number;
  readonly newRoot: Uint8Array;
  readonly path: readonly Uint8Array[];
}

/** Whether the new tree begins with all leaves of the old one. Every tree begins with the empty one. */
export function verifyConsistency(claim: ConsistencyClaim): boolean {
  const { oldSize, oldRoot, newSize, newRoot, path } = claim;
  if (!isCount(oldSize) || !isCount(newSize) || oldSize > newSize || !path.every(isHash)) return false;
  if (oldSize === newSize) return path.length === 0 && equalBytes(oldRoot, newRoot);
  if (oldSize === 0) return path.length === 0;
  let position = oldSize - 1;
  let last = newSize - 1;
  while (isOdd(position)) {
    position = half(position);
    last = half(last);
  }
  // An old tree that is a full subtree of the new one is not told: its root is known.
  const [first, ...siblings] = position === 0 ? [oldRoot, ...path] : path;
  if (first === undefined || path.length === 0 || !isHash(first)) return false;
  let old = first;
  let grown = first;
  for (const sibling of siblings) {
    if (last === 0) return false;
    if (isOdd(position) || position === last) {
      old = nodeHash(sibling, old);
      grown = nodeHash(sibling, grown);
      while (!isOdd(position) && position !== 0) {
        position = half(position);
        last = half(last);
      }
    } else {
      grown = nodeHash(grown, sibling);
    }
    position = half(position);
    last = half(last);
  }
  return last === 0 && equalBytes(old, oldRoot) && equalBytes(grown, newRoot);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isHash(bytes: Uint8Array): boolean {
  return bytes.length === hashBytes;
}

function isOdd(value: number): boolean {
  return value % 2 === 1;
}

function half(value: number): number {
  return Math.floor(value / 2);
}
