/** Verifies Merkle proofs with the algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2. All input is untrusted. */
import { equalBytes } from '../../bytes.ts';
import { hashBytes, nodeHash } from './merkle.ts';

export interface InclusionClaim {
  readonly index: number;
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly path: readonly Uint8Array[];
  readonly root: Uint8Array;
}

/** Reports whether the leaf is at `index` in the tree of `size` leaves with this root. */
export function verifyInclusion(claim: InclusionClaim): boolean {
  const { index, size, leafHash, path, root } = claim;
  if (!isCount(index) || !isCount(size) || index >= size || ![leafHash, ...path].every(isHash)) return false;
  let position: Position = { index, last: size - 1 };
  let hash = leafHash;
  for (const sibling of path) {
    if (position.last === 0) return false;
    const isRight = isRightChild(position);
    hash = isRight ? nodeHash(sibling, hash) : nodeHash(hash, sibling);
    position = ascend(position, isRight);
  }
  return position.last === 0 && equalBytes(hash, root);
}

export interface ConsistencyClaim {
  readonly oldSize: number;
  readonly oldRoot: Uint8Array;
  readonly newSize: number;
  readonly newRoot: Uint8Array;
  readonly path: readonly Uint8Array[];
}

/** Reports whether the new tree starts with all leaves of the old one. Every tree starts with the empty tree. */
export function verifyConsistency(claim: ConsistencyClaim): boolean {
  const { oldSize, oldRoot, newSize, newRoot, path } = claim;
  if (!isCount(oldSize) || !isCount(newSize) || oldSize > newSize || !path.every(isHash)) return false;
  if (oldSize === newSize) return path.length === 0 && equalBytes(oldRoot, newRoot);
  if (oldSize === 0) return path.length === 0;
  let position: Position = { index: oldSize - 1, last: newSize - 1 };
  while (isOdd(position.index)) position = parentOf(position);
  // The proof omits an old tree that is a full subtree of the new one, because its root is known.
  const [first, ...siblings] = position.index === 0 ? [oldRoot, ...path] : path;
  if (first === undefined || path.length === 0 || !isHash(first)) return false;
  let old = first;
  let grown = first;
  for (const sibling of siblings) {
    if (position.last === 0) return false;
    const isRight = isRightChild(position);
    if (isRight) old = nodeHash(sibling, old);
    grown = isRight ? nodeHash(sibling, grown) : nodeHash(grown, sibling);
    position = ascend(position, isRight);
  }
  return position.last === 0 && equalBytes(old, oldRoot) && equalBytes(grown, newRoot);
}

/** A node of one row of the tree, by its index and that of the last node in its row. */
interface Position {
  readonly index: number;
  readonly last: number;
}

/** Reports whether the next sibling of the path is to the left of the node. */
function isRightChild({ index, last }: Position): boolean {
  return isOdd(index) || index === last;
}

/** Moves up to the row of the next sibling. A node without a sibling is unchanged in the rows above, until it is a right child. */
function ascend(position: Position, isRight: boolean): Position {
  let node = position;
  while (isRight && !isOdd(node.index) && node.index !== 0) node = parentOf(node);
  return parentOf(node);
}

function parentOf({ index, last }: Position): Position {
  return { index: Math.floor(index / 2), last: Math.floor(last / 2) };
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
