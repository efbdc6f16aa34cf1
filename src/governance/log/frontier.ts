/** What the sequencer holds of a tree to make it longer: its right edge, and the tiles and the bundle that are not full. */
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
  /** By level of tiles: the hashes of the last tile, none where it would be full. */
  readonly tiles: readonly (readonly Bytes[])[];
}

export const emptyFrontier: Frontier = { tree: emptyTree, tiles: [] };

/** Index of the first entry whose bundle is not full in a tree of this size. */
export function firstLoose(size: number): number {
  return size - (size % tileWidth);
}

/**
 * Reads it back: the lowest tile out of the rows that are kept, the others out of the files.
 *
 * @throws EdgewiseError `internal` when it does not have the root that was committed to: something was lost or changed.
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
      `the log's files do not have the root of its checkpoint of size ${head.size}`,
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
  /** To be there before anybody hears of the tree. */
  readonly files: readonly LogFile[];
  /** Tiles and bundles that became full, having been there before as partial ones. */
  readonly filled: readonly TileRef[];
}

/** `rows`: all from `firstLoose` of the old size on, the old ones of that bundle before the new ones. */
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

function countOf(ref: TileRef, size: number): number {
  return hashesAtLevel(ref.level ?? 0, size);
}

/** Sealed receipts go out when their bundle is full; until then they stay with their rows. */
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

/** Where the sealed receipt of an entry is, once its bundle is full. */
export function sealedPath(index: number): string {
  const bundle = { level: undefined, index: Math.floor(index / tileWidth), width: tileWidth };
  return `receipts/${tilePath(bundle).slice('tile/entries/'.length)}`;
}

/** Each after its length, as four bytes, big-endian; absent ones are empty. */
export function encodeSealed(receipts: readonly (Bytes | undefined)[]): Bytes {
  return joinBytes(
    receipts.flatMap((receipt = new Uint8Array(0)) => {
      const length = new Uint8Array(4);
      new DataView(length.buffer).setUint32(0, receipt.length);
      return [length, receipt];
    }),
  );
}

/** The one at this place of a bundle; undefined where it is absent. */
export function sealedAt(bundle: Bytes, place: number): Bytes | undefined {
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.byteLength);
  let at = 0;
  for (let before = 0; before < place && at + 4 <= bundle.length; before += 1) at += 4 + view.getUint32(at);
  if (at + 4 > bundle.length) return undefined;
  const receipt = bundle.slice(at + 4, at + 4 + view.getUint32(at));
  return receipt.length === 0 ? undefined : receipt;
}

/** All of a bundle, in the order of their entries. */
export function allSealed(bundle: Bytes): readonly (Bytes | undefined)[] {
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.byteLength);
  const receipts: (Bytes | undefined)[] = [];
  for (let at = 0; at + 4 <= bundle.length; ) {
    const end = at + 4 + view.getUint32(at);
    receipts.push(end === at + 4 ? undefined : bundle.slice(at + 4, end));
    at = end;
  }
  return receipts;
}
