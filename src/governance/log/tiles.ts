/**
 * The log as static files (C2SP tlog-tiles): hashes in tiles of 256, entries in bundles of 256. Every proof can be
 * computed from these files alone.
 */
import { type Bytes, joinBytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { emptyTree, grow, hashBytes, type ReadNode, rootOf } from './merkle.ts';

export const checkpointPath = 'checkpoint';

/** Number of hashes in a full tile, and of entries in a full bundle. */
export const tileWidth = 256;
/** Number of levels of the tree that a tile spans. */
export const tileHeight = 8;
const maxTileLevel = 63;
const maxEntryBytes = 65_535;

export interface TileRef {
  /** Undefined for a bundle of entries. */
  readonly level: number | undefined;
  readonly index: number;
  /** 1 to 256. */
  readonly width: number;
}

/** Returns `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`. */
export function tilePath({ level, index, width }: TileRef): string {
  const partial = width === tileWidth ? '' : `.p/${width}`;
  return `tile/${level ?? 'entries'}/${indexPath(index)}${partial}`;
}

/** Returns the index in groups of three digits, all but the last with a leading `x`: `x001/x234/067`. */
function indexPath(index: number): string {
  const digits = String(index);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0');
  return (padded.match(/.{3}/g) ?? [])
    .map((group, at, { length }) => (at === length - 1 ? group : `x${group}`))
    .join('/');
}

const pathForm = /^tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/;

/** Parses a path; undefined if it is not the canonical path of a tile or bundle. */
export function parseTilePath(path: string): TileRef | undefined {
  const [, level, groups, width] = pathForm.exec(path) ?? [];
  if (level === undefined || groups === undefined) return undefined;
  const ref = {
    level: level === 'entries' ? undefined : Number(level),
    index: Number(groups.replaceAll(/[x/]/g, '')),
    width: width === undefined ? tileWidth : Number(width),
  };
  const isTile =
    (ref.level ?? 0) <= maxTileLevel && Number.isSafeInteger(ref.index) && ref.width <= tileWidth;
  return isTile && tilePath(ref) === path ? ref : undefined;
}

/** Returns the number of hashes in the tiles of this level, in a tree of this size. */
export function hashesAtLevel(level: number, size: number): number {
  return Math.floor(size / tileWidth ** level);
}

/** Returns the tiles and bundles of a tree of `newSize` that a tree of `oldSize` lacks, with their width at `newSize`. */
export function newTiles(oldSize: number, newSize: number): TileRef[] {
  const entries = tilesOfLevel(undefined, oldSize, newSize);
  const tiles: TileRef[] = [];
  for (let level = 0; hashesAtLevel(level, newSize) > 0; level += 1) {
    tiles.push(...tilesOfLevel(level, hashesAtLevel(level, oldSize), hashesAtLevel(level, newSize)));
  }
  return [...entries, ...tiles];
}

function tilesOfLevel(level: number | undefined, before: number, after: number): TileRef[] {
  const tiles: TileRef[] = [];
  if (before === after) return tiles;
  for (let index = Math.floor(before / tileWidth); index * tileWidth < after; index += 1) {
    tiles.push({ level, index, width: Math.min(tileWidth, after - index * tileWidth) });
  }
  return tiles;
}

/**
 * Encodes each entry after its length (two bytes, big-endian).
 *
 * @throws EdgewiseError `internal` for an entry above 65,535 bytes.
 */
export function encodeBundle(entries: readonly Uint8Array[]): Bytes {
  const tooLong = entries.find((entry) => entry.length > maxEntryBytes);
  if (tooLong !== undefined) {
    throw new EdgewiseError(
      'internal',
      `the log entry has ${tooLong.length} bytes; expected at most ${maxEntryBytes}`,
    );
  }
  return joinBytes(
    entries.flatMap((entry) => [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry]),
  );
}

/** @throws EdgewiseError `invalid_request` if the bytes end within an entry. */
export function decodeBundle(bundle: Bytes): Bytes[] {
  const entries: Bytes[] = [];
  for (let at = 0; at < bundle.length; ) {
    const length = ((bundle[at] ?? 0) << 8) | (bundle[at + 1] ?? 0);
    const end = at + 2 + length;
    if (end > bundle.length) {
      throw new EdgewiseError('invalid_request', `the entry bundle ends within its entry ${entries.length}`);
    }
    entries.push(bundle.slice(at + 2, end));
    at = end;
  }
  return entries;
}

/** Reads a file of the log; undefined if it does not exist. */
export type ReadFile = (path: string) => Promise<Bytes | undefined>;

/**
 * Reads a tile. A missing partial tile is read from the full one, which starts with the same bytes: a log may delete partial
 * tiles.
 *
 * @throws EdgewiseError `not_found` if the log has neither.
 */
async function readTile(ref: TileRef, read: ReadFile): Promise<Bytes> {
  const path = tilePath(ref);
  const tile =
    (await read(path)) ??
    (ref.width < tileWidth ? await read(tilePath({ ...ref, width: tileWidth })) : undefined);
  if (tile === undefined) throw new EdgewiseError('not_found', `the log has no file ${path}`);
  return tile;
}

/** Returns the first `ref.width` hashes of a tile. @throws EdgewiseError `not_found`; `digest_mismatch` if it has fewer */
export async function tileHashes(ref: TileRef, read: ReadFile): Promise<Bytes[]> {
  const tile = await readTile(ref, read);
  if (tile.length < ref.width * hashBytes || tile.length % hashBytes !== 0) {
    throw new EdgewiseError(
      'digest_mismatch',
      `the log file ${tilePath(ref)} has ${tile.length} bytes; expected ${ref.width * hashBytes} or more, in hashes of ${hashBytes}`,
    );
  }
  return Array.from({ length: ref.width }, (_, at) => tile.slice(at * hashBytes, (at + 1) * hashBytes));
}

/**
 * Returns the first `ref.width` entries of a bundle.
 *
 * @throws EdgewiseError `not_found`; `digest_mismatch` if it has fewer; as `decodeBundle`
 */
export async function bundleEntries(ref: TileRef, read: ReadFile): Promise<Bytes[]> {
  const entries = decodeBundle(await readTile(ref, read));
  if (entries.length < ref.width) {
    throw new EdgewiseError(
      'digest_mismatch',
      `the log file ${tilePath(ref)} has ${entries.length} entries; expected ${ref.width}`,
    );
  }
  return entries.slice(0, ref.width);
}

/**
 * Reads nodes of the tree of `size` leaves from its tiles, each tile once. The nodes are unverified until a proof made from
 * them matches a signed root. The function throws as `tileHashes`.
 */
export function tileNodes(size: number, read: ReadFile): ReadNode {
  const tiles = new Map<string, Promise<Bytes[]>>();
  const hashesOf = (ref: TileRef) => {
    const path = tilePath(ref);
    const hashes = tiles.get(path) ?? tileHashes(ref, read);
    tiles.set(path, hashes);
    return hashes;
  };
  return async (level, index) => {
    const tileLevel = Math.floor(level / tileHeight);
    // A node between two levels of tiles covers this many hashes of the tile below it.
    const count = 2 ** (level % tileHeight);
    const tile = Math.floor((index * count) / tileWidth);
    const width = Math.min(tileWidth, hashesAtLevel(tileLevel, size) - tile * tileWidth);
    const hashes = await hashesOf({ level: tileLevel, index: tile, width });
    const start = (index * count) % tileWidth;
    const { tree } = grow(emptyTree, hashes.slice(start, start + count));
    return rootOf(tree);
  };
}
