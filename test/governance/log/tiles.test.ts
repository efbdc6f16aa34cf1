import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  consistencyPath,
  emptyTree,
  grow,
  inclusionPath,
  leafHash,
  rangeRoot,
} from '../../../src/governance/log/merkle.ts';
import {
  bundleEntries,
  decodeBundle,
  encodeBundle,
  hashesAtLevel,
  newTiles,
  parseTilePath,
  type TileRef,
  tileHashes,
  tileNodes,
  tilePath,
} from '../../../src/governance/log/tiles.ts';
import { oracleOf } from './oracle.ts';

describe('tilePath()', () => {
  it.each([
    [{ level: 0, index: 0, width: 256 }, 'tile/0/000'],
    [{ level: 0, index: 5, width: 1 }, 'tile/0/005.p/1'],
    [{ level: 1, index: 999, width: 255 }, 'tile/1/999.p/255'],
    [{ level: 63, index: 1000, width: 256 }, 'tile/63/x001/000'],
    [{ level: undefined, index: 1_234_067, width: 256 }, 'tile/entries/x001/x234/067'],
    [{ level: undefined, index: 12_345_678, width: 9 }, 'tile/entries/x012/x345/678.p/9'],
  ] satisfies [TileRef, string][])('of %j is %s', (ref, path) => {
    expect(tilePath(ref)).toBe(path);
    expect(parseTilePath(path)).toEqual(ref);
  });

  it('is parsed back for any tile', () => {
    const refs = fc.record({
      level: fc.option(fc.nat(63), { nil: undefined }),
      index: fc.maxSafeNat(),
      width: fc.integer({ min: 1, max: 256 }),
    });
    fc.assert(
      fc.property(refs, (ref) => {
        expect(parseTilePath(tilePath(ref))).toEqual(ref);
      }),
    );
  });
});

describe('parseTilePath()', () => {
  it.each([
    'checkpoint',
    'tile/0/0',
    'tile/0/0000',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/0/x000/001',
    'tile/0/001/000',
    'tile/0/000.p/0',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p/999',
    'tile/0/000/',
    '/tile/0/000',
    'tile/0/../000',
    'tile/entry/000',
    'tile/0/x999/x999/x999/x999/x999/999',
    'tile/0/000\n',
  ])('refuses %j', (path) => {
    expect(parseTilePath(path)).toBeUndefined();
  });
});

describe('newTiles()', () => {
  it("gives the specification's tree of 70,000", () => {
    const tiles = newTiles(0, 70_000).filter(({ level }) => level !== undefined);
    const of = (level: number) => tiles.filter((tile) => tile.level === level);
    expect(of(0).filter(({ width }) => width === 256)).toHaveLength(273);
    expect(of(0).at(-1)).toEqual({ level: 0, index: 273, width: 112 });
    expect(of(1)).toEqual([
      { level: 1, index: 0, width: 256 },
      { level: 1, index: 1, width: 17 },
    ]);
    expect(of(2)).toEqual([{ level: 2, index: 0, width: 1 }]);
    expect(tiles).toHaveLength(274 + 2 + 1);
  });

  it('returns exactly the tiles that the old tree lacks', () => {
    fc.assert(
      fc.property(fc.nat(200_000), fc.nat(1000), (oldSize, added) => {
        const paths = (size: number, tiles: readonly TileRef[]) =>
          tiles
            .filter(({ level, index, width }) => index * 256 + width <= hashesAtLevel(level ?? 0, size))
            .map(tilePath);
        const before = new Set(paths(oldSize, newTiles(0, oldSize)));
        const after = newTiles(0, oldSize + added).map(tilePath);
        expect(
          newTiles(oldSize, oldSize + added)
            .map(tilePath)
            .sort(),
        ).toEqual(after.filter((path) => !before.has(path)).sort());
      }),
      { numRuns: 30 },
    );
  });
});

describe('entry bundles', () => {
  it('survive encoding and decoding', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (entries) => {
        const bundle = encodeBundle(entries);
        expect(decodeBundle(bundle).map((entry) => [...entry])).toEqual(entries.map((entry) => [...entry]));
        if (bundle.length > 0 && entries.at(-1)?.length !== 0) {
          expect(() => decodeBundle(bundle.slice(0, -1))).toThrow(
            expect.objectContaining({ code: 'invalid_request' }),
          );
        }
      }),
    );
  });

  it('carry a big-endian length before each entry', () => {
    expect([...encodeBundle([new Uint8Array(0), Uint8Array.of(9), new Uint8Array(258)]).slice(0, 7)]).toEqual(
      [0, 0, 0, 1, 9, 1, 2],
    );
    expect(() => encodeBundle([new Uint8Array(65_536)])).toThrow(
      expect.objectContaining({ code: 'internal' }),
    );
    expect(() => decodeBundle(Uint8Array.of(0))).toThrow(
      expect.objectContaining({ code: 'invalid_request' }),
    );
  });
});

/** Returns all files of a log with these leaves, computed from the definition. */
function filesOf(
  leaves: readonly Uint8Array[],
  sizes: readonly number[],
): Map<string, Uint8Array<ArrayBuffer>> {
  const oracle = Array.from({ length: 3 }, (_, level) => {
    const span = 256 ** level;
    return Array.from({ length: Math.floor(leaves.length / span) }, (__, at) =>
      oracleOf(leaves.slice(at * span, (at + 1) * span)).root(span),
    );
  });
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const size of sizes) {
    for (const ref of newTiles(0, size)) {
      const [from, to] = [ref.index * 256, ref.index * 256 + ref.width];
      const hashes = ref.level === undefined ? [] : (oracle[ref.level] ?? []).slice(from, to);
      files.set(
        tilePath(ref),
        ref.level === undefined
          ? encodeBundle(leaves.slice(from, to))
          : Uint8Array.from(hashes.flatMap((hash) => [...hash])),
      );
    }
  }
  return files;
}

describe('tileNodes()', () => {
  const leaves = Array.from({ length: 66_000 }, (_, index) => new TextEncoder().encode(`leaf ${index}`));
  const size = 65_800;
  const files = filesOf(leaves, [size]);
  const oracle = oracleOf(leaves);
  const read = (path: string) => Promise.resolve(files.get(path));

  it('reads the nodes for proofs over three levels of tiles', async () => {
    expect(await rangeRoot({ start: 0, end: size }, tileNodes(size, read))).toEqual(oracle.root(size));
    for (const index of [0, 1, 255, 256, 40_000, 65_535, 65_536, size - 1]) {
      expect(await inclusionPath(index, size, tileNodes(size, read))).toEqual(oracle.path(index, size));
    }
    for (const oldSize of [1, 255, 256, 257, 40_000, 65_536, 65_537, size - 1, size]) {
      expect(await consistencyPath(oldSize, size, tileNodes(size, read))).toEqual(
        oracle.consistency(oldSize, size),
      );
    }
  });

  it('reads each tile once', async () => {
    const paths: string[] = [];
    await inclusionPath(
      70,
      size,
      tileNodes(size, (path) => {
        paths.push(path);
        return read(path);
      }),
    );
    expect(new Set(paths).size).toBe(paths.length);
    expect(paths.length).toBeLessThan(6);
  });

  it('reads the full tile if the partial one is missing', async () => {
    const full = filesOf(leaves.slice(0, 600), [600]);
    const path = await inclusionPath(
      3,
      200,
      tileNodes(200, (name) => Promise.resolve(full.get(name))),
    );
    expect(path).toEqual(oracle.path(3, 200));
  });

  it('throws for a missing or truncated file', async () => {
    await expect(tileNodes(200, () => Promise.resolve(undefined))(0, 0)).rejects.toMatchObject({
      code: 'not_found',
    });
    const short = () => Promise.resolve(new Uint8Array(32));
    await expect(tileNodes(200, short)(0, 0)).rejects.toMatchObject({ code: 'digest_mismatch' });
    const ref = { level: undefined, index: 0, width: 3 };
    await expect(bundleEntries(ref, () => Promise.resolve(encodeBundle([])))).rejects.toMatchObject({
      code: 'digest_mismatch',
    });
  });

  it('reads tiles whose hashes match the entries of their bundle', async () => {
    const refs = newTiles(0, 600).filter(({ level }) => level === 0);
    expect(refs.map(({ width }) => width)).toEqual([256, 256, 88]);
    for (const ref of refs) {
      const entries = await bundleEntries({ ...ref, level: undefined }, read);
      expect(entries).toHaveLength(ref.width);
      expect(await tileHashes(ref, read)).toEqual(entries.map(leafHash));
    }
    const { nodes } = grow(emptyTree, await Promise.all(leaves.slice(0, 256).map(leafHash)));
    expect(nodes[0]).toEqual(await tileHashes({ level: 0, index: 0, width: 256 }, read));
  });
});
