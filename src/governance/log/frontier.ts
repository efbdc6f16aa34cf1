/** The part of the tree that the sequencer needs to extend it: the right edge, and the tiles and the bundle that are not full. */
import { type Bytes, equalBytes, joinBytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { emptyTree, grow, leafHash, rootOf, type Tree } from './merkle.ts';
import type { LogHead, LogRow } from './store.ts';
import {
  encodeBundle,
  hashesAtLevel,
  newTiles,
  type ReadFile,
  type TileRef,
  tileHashes,
  tileHeight,
  tilePath,
  tileWidth,
} from './tiles.ts';

export interface Frontier {
  readonly tree: Tree;
  /** The hashes of the last tile at each level of tiles; empty if that tile is full. */
  readonly tiles: readonly (readonly Bytes[])[];
}

export const emptyFrontier: Frontier = { tree: emptyTree, tiles: [] };

/** Returns the index of the first entry whose bundle is not full in a tree of this size. */
export function firstLoose(size: number): number {
  return size - (size % tileWidth);
}

/**
 * Restores the frontier: the lowest tile from the kept rows, the others from the files.
 *
 * @throws EdgewiseError `internal` if its root is not the committed one, because data was lost or changed; as
 * `tileHashes` if a file is missing or too short.
 */
export async function loadFrontier(
  head: LogHead,
  rows: readonly LogRow[],
  read: ReadFile,
): Promise<Frontier> {
  const tiles: (readonly Bytes[])[] = [];
  for (let level = 0; hashesAtLevel(level, head.size) > 0; level += 1) {
    const count = hashesAtLevel(level, head.size);
    const width = count % tileWidth;
    const ref = { level, index: Math.floor(count / tileWidth), width };
    const lowest = () => rows.map(({ entry }) => leafHash(entry));
    tiles.push(width === 0 ? [] : level === 0 ? lowest() : await tileHashes(ref, read));
  }
  const edge: (Bytes | undefined)[] = [];
  for (const [level, hashes] of tiles.entries()) {
    const { tree } = grow(emptyTree, hashes);
    for (let row = 0; row < tileHeight; row += 1) edge[level * tileHeight + row] = tree.edge[row];
  }
  const tree = { size: head.size, edge };
  if (!equalBytes(rootOf(tree), head.root)) {
    throw new EdgewiseError(
      'internal',
      `the log's files do not have the root of the checkpoint of size ${head.size}`,
    );
  }
  return { tree, tiles };
}

export interface LogFile {
  readonly path: string;
  readonly bytes: Bytes;
}

export interface Advance {
  readonly frontier: Frontier;
  readonly root: Bytes;
  /** Must be stored before the tree is published. */
  readonly files: readonly LogFile[];
  /** Tiles and bundles that were partial in the old tree and are full now. */
  readonly filled: readonly TileRef[];
}

/**
 * Extends the tree by new entries.
 *
 * @param rows All rows from `firstLoose` of the old size on: old entries of that bundle, then the new ones.
 */
export function advance(frontier: Frontier, rows: readonly LogRow[]): Advance {
  const oldSize = frontier.tree.size;
  const loose = firstLoose(oldSize);
  const entries = rows.map(({ entry }) => entry);
  const { tree, nodes } = grow(frontier.tree, entries.slice(oldSize - loose).map(leafHash));
  const content = Array.from({ length: Math.ceil(nodes.length / tileHeight) }, (_, level) => [
    ...(frontier.tiles[level] ?? []),
    ...(nodes[level * tileHeight] ?? []),
  ]);
  const refs = newTiles(oldSize, tree.size);
  const files = refs.map((ref) => {
    const start = (ref.index - Math.floor(countOf(ref, oldSize) / tileWidth)) * tileWidth;
    const own = (ref.level === undefined ? entries : (content[ref.level] ?? [])).slice(
      start,
      start + ref.width,
    );
    return { path: tilePath(ref), bytes: ref.level === undefined ? encodeBundle(own) : joinBytes(own) };
  });
  const tiles = content.map((hashes) => hashes.slice(firstLoose(hashes.length)));
  return {
    frontier: { tree, tiles: [...tiles, ...frontier.tiles.slice(tiles.length)] },
    root: rootOf(tree),
    files: [...files, ...sealedBundles(rows, loose)],
    filled: refs.filter((ref) => ref.width === tileWidth && ref.index * tileWidth < countOf(ref, oldSize)),
  };
}

/** Returns the number of hashes at the level of the tile, or of entries for a bundle. */
function countOf(ref: TileRef, size: number): number {
  return hashesAtLevel(ref.level ?? 0, size);
}

/** Returns a file for each full bundle that has sealed receipts. Until its bundle is full, a receipt stays with its row. */
function sealedBundles(rows: readonly LogRow[], loose: number): LogFile[] {
  const bundles: LogFile[] = [];
  for (let at = 0; at + tileWidth <= rows.length; at += tileWidth) {
    const sealed = rows.slice(at, at + tileWidth).map((row) => row.sealed);
    if (sealed.some((receipt) => receipt !== undefined)) {
      bundles.push({ path: sealedPath(loose + at), bytes: encodeSealed(sealed) });
    }
  }
  return bundles;
}

/** Returns the path of the sealed receipt of an entry, once its bundle is full. */
export function sealedPath(index: number): string {
  const bundle = { level: undefined, index: Math.floor(index / tileWidth), width: tileWidth };
  return `receipts/${tilePath(bundle).slice('tile/entries/'.length)}`;
}

/** Encodes each receipt after its length (four bytes, big-endian). An absent receipt is empty. */
export function encodeSealed(receipts: readonly (Bytes | undefined)[]): Bytes {
  return joinBytes(
    receipts.flatMap((receipt = new Uint8Array(0)) => {
      const length = new Uint8Array(4);
      new DataView(length.buffer).setUint32(0, receipt.length);
      return [length, receipt];
    }),
  );
}

/** Returns the receipts of a bundle, in the order of their entries; undefined for absent ones. The form is not checked. */
export function decodeSealed(bundle: Bytes): readonly (Bytes | undefined)[] {
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.byteLength);
  const receipts: (Bytes | undefined)[] = [];
  for (let at = 0; at + 4 <= bundle.length; ) {
    const end = at + 4 + view.getUint32(at);
    receipts.push(end === at + 4 ? undefined : bundle.subarray(at + 4, end));
    at = end;
  }
  return receipts;
}
