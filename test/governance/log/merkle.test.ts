import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
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

/** Trees of all sizes up to that many leaves, grown one by one, and the nodes of the largest. */
async function grown(leaves: readonly Bytes[]) {
  const nodes: Bytes[][] = [];
  const roots: Bytes[] = [await rootOf(emptyTree)];
  let tree: Tree = emptyTree;
  for (const leaf of leaves) {
    const growth = await grow(tree, [await leafHash(leaf)]);
    tree = growth.tree;
    for (const [level, added] of growth.nodes.entries()) {
      nodes[level] = [...(nodes[level] ?? []), ...added];
    }
    roots.push(await rootOf(tree));
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

/** The tree and its nodes, grown at once. */
async function grownAtOnce(leaves: readonly Bytes[]) {
  const { tree, nodes } = await grow(emptyTree, await Promise.all(leaves.map(leafHash)));
  return { tree, read: readerOf(nodes) };
}

describe('the published vectors', () => {
  it('have the roots that the tree has', async () => {
    const { roots } = await grown(publishedLeaves);
    expect(roots.map(toHex)).toEqual(publishedRoots.map(toHex));
  });

  it.each(publishedInclusion)('have the path of leaf $index in $size', async ({ index, size, path }) => {
    const { read } = await grown(publishedLeaves);
    expect(await inclusionPath(index, size, read)).toEqual(path);
    const root = publishedRoots[size];
    const leaf = await leafHash(publishedLeaves[index] ?? new Uint8Array());
    expect(root).toBeDefined();
    if (root !== undefined) {
      expect(await verifyInclusion({ index, size, leafHash: leaf, path, root })).toBe(true);
    }
  });

  it.each(publishedConsistency)(
    'have the proof from $oldSize to $newSize',
    async ({ oldSize, newSize, path }) => {
      const { read } = await grown(publishedLeaves);
      expect(await consistencyPath(oldSize, newSize, read)).toEqual(path);
      const [oldRoot, newRoot] = [publishedRoots[oldSize], publishedRoots[newSize]];
      expect([oldRoot, newRoot]).not.toContain(undefined);
      if (oldRoot !== undefined && newRoot !== undefined) {
        expect(await verifyConsistency({ oldSize, newSize, path, oldRoot, newRoot })).toBe(true);
      }
    },
  );
});

describe('grow()', () => {
  it('gives the same tree whatever the batches', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(40), { maxLength: 12 }), async (batches) => {
        const leaves = leavesOf(batches.reduce((sum, batch) => sum + batch, 0));
        let tree: Tree = emptyTree;
        for (const batch of batches) {
          const hashes = await Promise.all(leaves.slice(tree.size, tree.size + batch).map(leafHash));
          ({ tree } = await grow(tree, hashes));
        }
        expect(tree.size).toBe(leaves.length);
        expect(await rootOf(tree)).toEqual(oracleOf(leaves).root(leaves.length));
      }),
      { numRuns: 40 },
    );
  });

  it('hashes as often as there are new nodes, not as there are leaves', async () => {
    const { tree } = await grownAtOnce(leavesOf(3000));
    const { nodes } = await grow(tree, await Promise.all(leavesOf(8).map(leafHash)));
    const full = (size: number, level: number) => Math.floor(size / 2 ** level);
    expect(nodes.map((level) => level.length)).toEqual(
      nodes.map((_, level) => full(3008, level) - full(3000, level)),
    );
    expect(nodes).toHaveLength(7);
  });
});

describe('proofs', () => {
  it('agree with the definition, for every leaf and every pair of sizes up to 130', async () => {
    const leaves = leavesOf(130);
    const oracle = oracleOf(leaves);
    const { roots, read } = await grown(leaves);
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

  it('hold for every leaf of a few thousand', async () => {
    const leaves = leavesOf(3001);
    const { tree, read } = await grownAtOnce(leaves);
    const root = await rootOf(tree);
    expect(root).toEqual(oracleOf(leaves).root(leaves.length));
    for (const [index, leaf] of leaves.entries()) {
      const path = await inclusionPath(index, leaves.length, read);
      const claim = { index, size: leaves.length, leafHash: await leafHash(leaf), path, root };
      if (!(await verifyInclusion(claim))) expect.fail(`leaf ${index}`);
    }
  });

  it('hold for pairs of sizes up to a few thousand', async () => {
    const leaves = leavesOf(3000);
    const oracle = oracleOf(leaves);
    const { read } = await grownAtOnce(leaves);
    await fc.assert(
      fc.asyncProperty(fc.nat(3000), fc.nat(3000), async (one, other) => {
        const [oldSize, newSize] = [Math.min(one, other), Math.max(one, other)];
        const path = await consistencyPath(oldSize, newSize, read);
        const [oldRoot, newRoot] = [oracle.root(oldSize), oracle.root(newSize)];
        if (oldSize > 0) expect(path).toEqual(oracle.consistency(oldSize, newSize));
        expect(await verifyConsistency({ oldSize, newSize, path, oldRoot, newRoot })).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

const size = fc.integer({ min: 1, max: 300 });
const at300 = grownAtOnce(leavesOf(300));
const oracle310 = oracleOf(leavesOf(310));
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** A path with one thing wrong with it. */
const spoil = fc.oneof(
  fc.tuple(fc.nat(), fc.nat(255)).map(([at, bit]) => (path: readonly Uint8Array[]) => {
    const spoilt = path.map((node) => Uint8Array.from(node));
    const node = spoilt[at % Math.max(1, path.length)];
    if (node !== undefined) node[bit >> 3] = (node[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return spoilt;
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
        spoil,
        async (n, i, j, m, other, spoilPath) => {
          const index = i % n;
          const path = await inclusionPath(index, n, read);
          const claim = {
            index,
            size: n,
            path,
            root: oracle310.root(n),
            leafHash: await leafHash(leavesOf(300)[index] ?? new Uint8Array()),
          };
          expect(await verifyInclusion(claim)).toBe(true);
          if (j !== index) expect(await verifyInclusion({ ...claim, index: j })).toBe(false);
          expect(await verifyInclusion({ ...claim, leafHash: other })).toBe(false);
          expect(await verifyInclusion({ ...claim, root: other })).toBe(false);
          // In a tree of another size the leaf may have a path of the same form, but to another root.
          if (m > 0 && m !== n) {
            expect(await verifyInclusion({ ...claim, size: m, root: oracle310.root(m) })).toBe(false);
          }
          // The same root, of a tree in which the leaf lies higher or lower.
          for (const of of [1, 2, 4, 8, 64, 512, 1024].map((by) => n * by + 1)) {
            if (inclusionRanges(index, of).length === path.length) continue;
            expect(await verifyInclusion({ ...claim, size: of })).toBe(false);
          }
          const spoilt = spoilPath(path);
          if (!isSame(spoilt, path)) expect(await verifyInclusion({ ...claim, path: spoilt })).toBe(false);
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
    const root = await leafHash(new Uint8Array());
    expect(await verifyInclusion({ index, size: of, leafHash: root, path: [], root })).toBe(false);
  });

  it('refuses a leaf that has not the length of a hash', async () => {
    const short = new Uint8Array();
    expect(await verifyInclusion({ index: 0, size: 1, leafHash: short, path: [], root: short })).toBe(false);
  });
});

describe('verifyConsistency()', () => {
  it('refuses other sizes, roots or paths', async () => {
    const { read } = await at300;
    await fc.assert(
      fc.asyncProperty(size, size, fc.nat(310), hash, spoil, async (one, two, m, other, spoilPath) => {
        const [oldSize, newSize] = [Math.min(one, two), Math.max(one, two)];
        const path = await consistencyPath(oldSize, newSize, read);
        const [oldRoot, newRoot] = [oracle310.root(oldSize), oracle310.root(newSize)];
        const claim = { oldSize, newSize, path, oldRoot, newRoot };
        expect(await verifyConsistency(claim)).toBe(true);
        expect(await verifyConsistency({ ...claim, oldRoot: other })).toBe(false);
        expect(await verifyConsistency({ ...claim, newRoot: other })).toBe(false);
        if (m !== oldSize && m > 0) {
          expect(await verifyConsistency({ ...claim, oldSize: m, oldRoot: oracle310.root(m) })).toBe(false);
        }
        if (oldSize !== newSize) {
          expect(await verifyConsistency({ ...claim, oldRoot: newRoot, newRoot: oldRoot })).toBe(false);
          expect(await verifyConsistency({ ...claim, oldSize: newSize, newSize: oldSize })).toBe(false);
          expect(await verifyConsistency({ ...claim, path: [] })).toBe(false);
        }
        const spoilt = spoilPath(path);
        if (!isSame(spoilt, path)) expect(await verifyConsistency({ ...claim, path: spoilt })).toBe(false);
      }),
    );
  });

  it('takes every tree for one that goes on from none, with an empty proof', async () => {
    const empty = oracle310.root(0);
    const claim = { oldSize: 0, oldRoot: empty, newSize: 3, newRoot: oracle310.root(3), path: [] };
    expect(await verifyConsistency(claim)).toBe(true);
    expect(await verifyConsistency({ ...claim, path: [empty] })).toBe(false);
    expect(await verifyConsistency({ ...claim, newSize: 0 })).toBe(false);
  });
});
