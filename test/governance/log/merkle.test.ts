import fc from 'fast-check';
import { assert, describe, expect, it } from 'vitest';
import { type Bytes, toHex } from '../../../src/bytes.ts';
import {
  consistencyPath,
  emptyTree,
  grow,
  inclusionPath,
  inclusionRanges,
  leafHash,
  type ReadNode,
  rootOf,
  type Tree,
} from '../../../src/governance/log/merkle.ts';
import { verifyConsistency, verifyInclusion } from '../../../src/governance/log/verify.ts';
import { oracleOf } from './oracle.ts';
import { publishedConsistency, publishedInclusion, publishedLeaves, publishedRoots } from './vectors.ts';

const leavesOf = (count: number): Bytes[] =>
  Array.from({ length: count }, (_, index) => new TextEncoder().encode(`leaf ${index}`));

/** Grows a tree leaf by leaf. Returns the roots of all sizes, and a reader of the nodes. */
async function growEach(leaves: readonly Bytes[]) {
  const nodes: Bytes[][] = [];
  const roots: Bytes[] = [rootOf(emptyTree)];
  let tree: Tree = emptyTree;
  for (const leaf of leaves) {
    const growth = grow(tree, [leafHash(leaf)]);
    tree = growth.tree;
    for (const [level, added] of growth.nodes.entries()) {
      nodes[level] = [...(nodes[level] ?? []), ...added];
    }
    roots.push(rootOf(tree));
  }
  return { tree, roots, read: readerOf(nodes) };
}

function readerOf(nodes: readonly (readonly Bytes[])[]): ReadNode {
  return (level, index) => {
    const node = nodes[level]?.[index];
    if (node === undefined) throw new Error(`no node ${index} of level ${level}`);
    return Promise.resolve(node);
  };
}

/** Grows a tree in one batch. */
async function growAll(leaves: readonly Bytes[]) {
  const { tree, nodes } = grow(emptyTree, await Promise.all(leaves.map(leafHash)));
  return { tree, read: readerOf(nodes) };
}

describe('the published vectors', () => {
  it('have the roots of the tree', async () => {
    const { roots } = await growEach(publishedLeaves);
    expect(roots.map(toHex)).toEqual(publishedRoots.map(toHex));
  });

  it.each(publishedInclusion)('have the path of leaf $index in $size', async ({ index, size, path }) => {
    const { read } = await growEach(publishedLeaves);
    expect(await inclusionPath(index, size, read)).toEqual(path);
    const root = publishedRoots[size];
    const leaf = leafHash(publishedLeaves[index] ?? new Uint8Array());
    assert(root !== undefined);
    expect(verifyInclusion({ index, size, leafHash: leaf, path, root })).toBe(true);
  });

  it.each(publishedConsistency)(
    'have the proof from $oldSize to $newSize',
    async ({ oldSize, newSize, path }) => {
      const { read } = await growEach(publishedLeaves);
      expect(await consistencyPath(oldSize, newSize, read)).toEqual(path);
      const [oldRoot, newRoot] = [publishedRoots[oldSize], publishedRoots[newSize]];
      assert(oldRoot !== undefined && newRoot !== undefined);
      expect(verifyConsistency({ oldSize, newSize, path, oldRoot, newRoot })).toBe(true);
    },
  );
});

describe('grow()', () => {
  it('gives the same tree for any batches', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(40), { maxLength: 12 }), async (batches) => {
        const leaves = leavesOf(batches.reduce((sum, batch) => sum + batch, 0));
        let tree: Tree = emptyTree;
        for (const batch of batches) {
          const hashes = await Promise.all(leaves.slice(tree.size, tree.size + batch).map(leafHash));
          ({ tree } = grow(tree, hashes));
        }
        expect(tree.size).toBe(leaves.length);
        expect(rootOf(tree)).toEqual(oracleOf(leaves).root(leaves.length));
      }),
      { numRuns: 40 },
    );
  });

  it('computes one hash for each new node', async () => {
    const { tree } = await growAll(leavesOf(3000));
    const { nodes } = grow(tree, await Promise.all(leavesOf(8).map(leafHash)));
    const full = (size: number, level: number) => Math.floor(size / 2 ** level);
    expect(nodes.map((level) => level.length)).toEqual(
      nodes.map((_, level) => full(3008, level) - full(3000, level)),
    );
    expect(nodes).toHaveLength(7);
  });
});

describe('proofs', () => {
  it('match the definition for every leaf and every pair of sizes up to 130', async () => {
    const leaves = leavesOf(130);
    const oracle = oracleOf(leaves);
    const { roots, read } = await growEach(leaves);
    expect(roots).toEqual(roots.map((_, size) => oracle.root(size)));
    const hashes = await Promise.all(leaves.map(leafHash));
    for (const [size, root] of roots.entries()) {
      const checks = hashes.slice(0, size).map(async (hash, index) => {
        const path = await inclusionPath(index, size, read);
        if (!isSame(path, oracle.path(index, size))) expect.fail(`path of leaf ${index} in ${size}`);
        return verifyInclusion({ index, size, leafHash: hash, path, root });
      });
      expect(await Promise.all(checks)).not.toContain(false);
      const oldChecks = roots.slice(1, size + 1).map(async (oldRoot, before) => {
        const oldSize = before + 1;
        const path = await consistencyPath(oldSize, size, read);
        if (!isSame(path, oracle.consistency(oldSize, size))) expect.fail(`proof from ${oldSize} to ${size}`);
        return verifyConsistency({ oldSize, newSize: size, path, oldRoot, newRoot: root });
      });
      expect(await Promise.all(oldChecks)).not.toContain(false);
    }
  });

  it('verify for every leaf of a tree of 3001', async () => {
    const leaves = leavesOf(3001);
    const { tree, read } = await growAll(leaves);
    const root = rootOf(tree);
    expect(root).toEqual(oracleOf(leaves).root(leaves.length));
    for (const [index, leaf] of leaves.entries()) {
      const path = await inclusionPath(index, leaves.length, read);
      const claim = { index, size: leaves.length, leafHash: leafHash(leaf), path, root };
      expect(verifyInclusion(claim), `leaf ${index}`).toBe(true);
    }
  });

  it('verify for pairs of sizes up to 3000', async () => {
    const leaves = leavesOf(3000);
    const oracle = oracleOf(leaves);
    const { read } = await growAll(leaves);
    await fc.assert(
      fc.asyncProperty(fc.nat(3000), fc.nat(3000), async (one, other) => {
        const [oldSize, newSize] = [Math.min(one, other), Math.max(one, other)];
        const path = await consistencyPath(oldSize, newSize, read);
        const [oldRoot, newRoot] = [oracle.root(oldSize), oracle.root(newSize)];
        if (oldSize > 0) expect(path).toEqual(oracle.consistency(oldSize, newSize));
        expect(verifyConsistency({ oldSize, newSize, path, oldRoot, newRoot })).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

const size = fc.integer({ min: 1, max: 300 });
const at300 = growAll(leavesOf(300));
const oracle310 = oracleOf(leavesOf(310));
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** Changes a path in one way. */
const corruption = fc.oneof(
  fc.tuple(fc.nat(), fc.nat(255)).map(([at, bit]) => (path: readonly Uint8Array[]) => {
    const corrupted = path.map((node) => Uint8Array.from(node));
    const node = corrupted[at % Math.max(1, path.length)];
    if (node !== undefined) node[bit >> 3] = (node[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return corrupted;
  }),
  hash.map((extra) => (path: readonly Uint8Array[]) => [...path, extra]),
  hash.map((extra) => (path: readonly Uint8Array[]) => [extra, ...path]),
  fc.constant((path: readonly Uint8Array[]) => path.slice(1)),
  fc.constant((path: readonly Uint8Array[]) => path.slice(0, -1)),
  fc.constant((path: readonly Uint8Array[]) => [...path].reverse()),
  fc.constant((path: readonly Uint8Array[]) => [...path, new Uint8Array(0)]),
);

const isSame = (one: readonly Uint8Array[], other: readonly Uint8Array[]) =>
  one.length === other.length &&
  one.every((node, at) => toHex(node) === toHex(other[at] ?? new Uint8Array()));

describe('verifyInclusion()', () => {
  it('refuses another index, size, leaf, root or path', async () => {
    const { read } = await at300;
    await fc.assert(
      fc.asyncProperty(
        size,
        fc.nat(),
        fc.nat(310),
        fc.nat(310),
        hash,
        corruption,
        async (n, i, j, m, other, corrupt) => {
          const index = i % n;
          const path = await inclusionPath(index, n, read);
          const claim = {
            index,
            size: n,
            path,
            root: oracle310.root(n),
            leafHash: leafHash(leavesOf(300)[index] ?? new Uint8Array()),
          };
          expect(verifyInclusion(claim)).toBe(true);
          if (j !== index) expect(verifyInclusion({ ...claim, index: j })).toBe(false);
          expect(verifyInclusion({ ...claim, leafHash: other })).toBe(false);
          expect(verifyInclusion({ ...claim, root: other })).toBe(false);
          // In a tree of another size the leaf may have a path of the same length, but to another root.
          if (m > 0 && m !== n) {
            expect(verifyInclusion({ ...claim, size: m, root: oracle310.root(m) })).toBe(false);
          }
          // The same root, claimed for a tree in which the leaf has another depth.
          for (const of of [1, 2, 4, 8, 64, 512, 1024].map((by) => n * by + 1)) {
            if (inclusionRanges(index, of).length === path.length) continue;
            expect(verifyInclusion({ ...claim, size: of })).toBe(false);
          }
          const corrupted = corrupt(path);
          if (!isSame(corrupted, path)) expect(verifyInclusion({ ...claim, path: corrupted })).toBe(false);
        },
      ),
    );
  });

  it.each([
    { index: 0, size: 0 },
    { index: 1, size: 1 },
    { index: -1, size: 1 },
    { index: 0.5, size: 2 },
    { index: 0, size: Number.NaN },
  ])('refuses index $index in a tree of $size', async ({ index, size: of }) => {
    const root = leafHash(new Uint8Array());
    expect(verifyInclusion({ index, size: of, leafHash: root, path: [], root })).toBe(false);
  });

  it('refuses a leaf without the length of a hash', async () => {
    const short = new Uint8Array();
    expect(verifyInclusion({ index: 0, size: 1, leafHash: short, path: [], root: short })).toBe(false);
  });
});

describe('verifyConsistency()', () => {
  it('refuses other sizes, roots or paths', async () => {
    const { read } = await at300;
    await fc.assert(
      fc.asyncProperty(size, size, fc.nat(310), hash, corruption, async (one, two, m, other, corrupt) => {
        const [oldSize, newSize] = [Math.min(one, two), Math.max(one, two)];
        const path = await consistencyPath(oldSize, newSize, read);
        const [oldRoot, newRoot] = [oracle310.root(oldSize), oracle310.root(newSize)];
        const claim = { oldSize, newSize, path, oldRoot, newRoot };
        expect(verifyConsistency(claim)).toBe(true);
        expect(verifyConsistency({ ...claim, oldRoot: other })).toBe(false);
        expect(verifyConsistency({ ...claim, newRoot: other })).toBe(false);
        if (m !== oldSize && m > 0) {
          expect(verifyConsistency({ ...claim, oldSize: m, oldRoot: oracle310.root(m) })).toBe(false);
        }
        if (oldSize !== newSize) {
          expect(verifyConsistency({ ...claim, oldRoot: newRoot, newRoot: oldRoot })).toBe(false);
          expect(verifyConsistency({ ...claim, oldSize: newSize, newSize: oldSize })).toBe(false);
          expect(verifyConsistency({ ...claim, path: [] })).toBe(false);
        }
        const corrupted = corrupt(path);
        if (!isSame(corrupted, path)) expect(verifyConsistency({ ...claim, path: corrupted })).toBe(false);
      }),
    );
  });

  it('accepts an empty proof from the empty tree to every tree', async () => {
    const empty = oracle310.root(0);
    const claim = { oldSize: 0, oldRoot: empty, newSize: 3, newRoot: oracle310.root(3), path: [] };
    expect(verifyConsistency(claim)).toBe(true);
    expect(verifyConsistency({ ...claim, path: [empty] })).toBe(false);
    expect(verifyConsistency({ ...claim, newSize: 0 })).toBe(false);
  });
});
