/**
 * The Merkle tree of RFC 6962 §2.1 over SHA-256: appending leaves and computing proofs. Sizes go up to 2⁵³ − 1, so this
 * file uses no 32-bit operators.
 */
import { type Bytes, joinBytes } from '../../bytes.ts';
import { sha256Sync } from '../sha256.ts';

export const hashBytes = 32;

const leafPrefix = new Uint8Array([0]);
const nodePrefix = new Uint8Array([1]);

export function leafHash(data: Uint8Array): Bytes {
  return sha256Sync(joinBytes([leafPrefix, data]));
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Bytes {
  return sha256Sync(joinBytes([nodePrefix, left, right]));
}

/**
 * A tree, represented by its right edge, which is enough to append leaves: for each power of two in its size, the root of
 * the full subtree of that many leaves. `edge[level]` covers 2^level leaves; undefined if the size does not have that bit.
 */
export interface Tree {
  readonly size: number;
  readonly edge: readonly (Bytes | undefined)[];
}

export const emptyTree: Tree = { size: 0, edge: [] };

export interface Growth {
  readonly tree: Tree;
  /** The new roots of full subtrees: `nodes[level]` are those of 2^level leaves, after the existing ones. */
  readonly nodes: readonly (readonly Bytes[])[];
}

/** Appends leaves. Computes one hash for each new node, and none for existing nodes. */
export function grow(tree: Tree, leafHashes: readonly Bytes[]): Growth {
  const edge = [...tree.edge];
  const nodes: (readonly Bytes[])[] = [];
  let added = leafHashes;
  for (let level = 0; added.length > 0; level += 1) {
    nodes.push(added);
    const waiting = edge[level];
    const row = waiting === undefined ? added : [waiting, ...added];
    edge[level] = row.length % 2 === 1 ? row.at(-1) : undefined;
    added = Array.from({ length: Math.floor(row.length / 2) }, (_, pair) =>
      sha256Sync(joinBytes([nodePrefix, ...row.slice(2 * pair, 2 * pair + 2)])),
    );
  }
  return { tree: { size: tree.size + leafHashes.length, edge }, nodes };
}

/** Returns the root hash; for an empty tree, the hash of the empty string. */
export function rootOf(tree: Tree): Bytes {
  let root: Bytes | undefined;
  for (const subtree of tree.edge) {
    if (subtree !== undefined) root = root === undefined ? subtree : nodeHash(subtree, root);
  }
  return root ?? sha256Sync(new Uint8Array(0));
}

/** The leaves from `start` to `end`, exclusive. */
export interface LeafRange {
  readonly start: number;
  readonly end: number;
}

/** Returns the largest power of two below `count`, which is at least 2. */
function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

/** Returns the subtrees whose roots are the audit path of a leaf, from the leaf up (RFC 6962 §2.1.1). */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  const ranges: LeafRange[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + splitOf(end - start);
    if (index < middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  return ranges.reverse();
}

/** Returns the subtrees whose roots are the consistency proof from one size to another (RFC 6962 §2.1.2). */
export function consistencyRanges(oldSize: number, newSize: number): LeafRange[] {
  if (oldSize === 0 || oldSize === newSize) return [];
  const ranges: LeafRange[] = [];
  let start = 0;
  let end = newSize;
  // Descend to the subtree that ends where the old tree ends.
  while (end !== oldSize) {
    const middle = start + splitOf(end - start);
    if (oldSize <= middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  // The root of the old tree is known, so it is not part of the proof.
  if (start > 0) ranges.push({ start, end });
  return ranges.reverse();
}

/** Returns the root of the full subtree of the 2^level leaves that start at leaf `index · 2^level`. */
export type ReadNode = (level: number, index: number) => Promise<Bytes>;

/** Computes the root of a range, which starts where a subtree of its size may start. */
export async function rangeRoot({ start, end }: LeafRange, read: ReadNode): Promise<Bytes> {
  const subtrees: Promise<Bytes>[] = [];
  let from = start;
  let level = Math.ceil(Math.log2(end - start)) + 1;
  while (from < end) {
    while (2 ** level > end - from) level -= 1;
    subtrees.push(read(level, from / 2 ** level));
    from += 2 ** level;
  }
  const roots = (await Promise.all(subtrees)).reverse();
  let root: Bytes | undefined;
  for (const left of roots) root = root === undefined ? left : nodeHash(left, root);
  return root ?? sha256Sync(new Uint8Array(0));
}

/** Computes the audit path of the leaf at `index` in the tree of the first `size` leaves. */
export function inclusionPath(index: number, size: number, read: ReadNode): Promise<Bytes[]> {
  return Promise.all(inclusionRanges(index, size).map((range) => rangeRoot(range, read)));
}

/** Computes the proof that the tree of `oldSize` leaves is a prefix of the tree of `newSize` leaves. */
export function consistencyPath(oldSize: number, newSize: number, read: ReadNode): Promise<Bytes[]> {
  return Promise.all(consistencyRanges(oldSize, newSize).map((range) => rangeRoot(range, read)));
}
