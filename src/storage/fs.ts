/**
 * A directory as blob store and as state store, for the Node origin, tests and tools.
 *
 * Blobs: written to a temporary file, synced, renamed into place; a reader sees all of a blob or nothing.
 *
 * State: each key is a directory of numbered generations, of which the highest is the value and its number the etag.
 * A write makes the next number with `link`, which fails when the name exists, so of two processes one wins, and no
 * lock can be left behind by a crash. The last `keptGenerations` stay, the older ones are removed.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { EdgewiseError } from '../errors.ts';
import { blobKey, parseDigest } from './digest.ts';
import type { BlobStore, Digest, StateEntry, StateStore } from './types.ts';

const keptGenerations = 16;
const generationDigits = 15;
/** Content of a generation that means "deleted"; no value may begin with NUL. */
const tombstone = '\0deleted';

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** What `work` gives, or undefined when the file or directory is not there. */
async function unlessAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Makes entries of a directory durable; not every file system can, and then there is nothing to do. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (!hasCode(error, 'EINVAL') && !hasCode(error, 'EPERM')) throw error;
  } finally {
    await handle.close();
  }
}

/** Writes `content` to a new file in `directory`, synced, and returns its path. */
async function writeTemporary(directory: string, content: Uint8Array | string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, randomUUID());
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(content);
    await handle.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  return path;
}

/** A blob store under `root`. */
export function fsBlobStore(root: string): BlobStore {
  const temporary = join(root, 'temporary');
  /** The digest is checked again: it becomes a path. */
  const pathOf = (digest: Digest) => join(root, blobKey(parseDigest(digest)));
  return {
    name: 'fs',
    async get(digest) {
      const file = await unlessAbsent(readFile(pathOf(digest)));
      return file && new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
    },
    async has(digest) {
      return (await unlessAbsent(stat(pathOf(digest)))) !== undefined;
    },
    async byteLength(digest) {
      return (await unlessAbsent(stat(pathOf(digest))))?.size;
    },
    async put(digest, bytes) {
      const path = pathOf(digest);
      await mkdir(dirname(path), { recursive: true });
      const written = await writeTemporary(temporary, bytes);
      await rename(written, path);
      await syncDirectory(dirname(path));
    },
    async delete(digest) {
      await rm(pathOf(digest), { force: true });
    },
  };
}

/** One path segment per key: no key can leave the root, hide, or be the directory of another. */
function segmentOf(key: string): string {
  const segment = encodeURIComponent(key).replace(/^\./, '%2E');
  if (segment.length === 0 || segment.length > 255) {
    throw new EdgewiseError('invalid_request', `state key of ${key.length} characters is empty or too long`);
  }
  return segment;
}

function generationName(generation: number): string {
  return String(generation).padStart(generationDigits, '0');
}

/** A state store under `root`, safe for several processes on one file system that has hard links. */
export function fsStateStore(root: string): StateStore {
  const temporary = join(root, 'temporary');
  const state = join(root, 'state');
  const directoryOf = (key: string) => join(state, segmentOf(key));

  /** Ascending. */
  async function generations(directory: string): Promise<number[]> {
    const names = (await unlessAbsent(readdir(directory))) ?? [];
    return names.map(Number).sort((a, b) => a - b);
  }

  async function read(directory: string): Promise<{ generation: number; value: string | undefined }> {
    for (;;) {
      const generation = (await generations(directory)).at(-1);
      if (generation === undefined) return { generation: 0, value: undefined };
      const value = await unlessAbsent(readFile(join(directory, generationName(generation)), 'utf8'));
      // Gone between the two steps: others have written, so look again.
      if (value !== undefined) return { generation, value: value === tombstone ? undefined : value };
    }
  }

  /**
   * Writes generation `after + 1`; false when someone else has.
   *
   * A writer that slept long between its look and this step could find the name free again because it was removed as
   * old. It is old only when `keptGenerations` newer ones exist, which the second look tells.
   */
  async function append(directory: string, after: number, content: string): Promise<boolean> {
    await mkdir(directory, { recursive: true });
    const written = await writeTemporary(temporary, content);
    const path = join(directory, generationName(after + 1));
    try {
      await link(written, path);
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false;
      throw error;
    } finally {
      await rm(written, { force: true });
    }
    await syncDirectory(directory);
    const standing = await generations(directory);
    const newest = standing.at(-1) ?? 0;
    if (newest - (after + 1) >= keptGenerations) {
      await rm(path, { force: true });
      throw new EdgewiseError('internal', 'a write stalled for so long that its outcome is unknown');
    }
    const old = standing.filter((generation) => newest - generation >= keptGenerations);
    await Promise.all(
      old.map((generation) => rm(join(directory, generationName(generation)), { force: true })),
    );
    return true;
  }

  async function get(key: string): Promise<StateEntry | undefined> {
    const { generation, value } = await read(directoryOf(key));
    return value === undefined ? undefined : { value, etag: String(generation) };
  }

  return {
    name: 'fs',
    get,
    async getIfChanged(key, etag) {
      const entry = await get(key);
      return entry?.etag === etag ? 'unchanged' : entry;
    },
    async put(key, value, condition) {
      if (value.startsWith('\0')) {
        throw new EdgewiseError('invalid_request', `value of ${key} begins with NUL, wanted text`);
      }
      const directory = directoryOf(key);
      const standing = await read(directory);
      const holds =
        'ifAbsent' in condition
          ? standing.value === undefined
          : standing.value !== undefined && String(standing.generation) === condition.ifMatch;
      if (!holds || !(await append(directory, standing.generation, value))) return undefined;
      return String(standing.generation + 1);
    },
    async delete(key, { ifMatch }) {
      const directory = directoryOf(key);
      const standing = await read(directory);
      if (standing.value === undefined || String(standing.generation) !== ifMatch) return false;
      return append(directory, standing.generation, tombstone);
    },
    async list(prefix) {
      const names = (await unlessAbsent(readdir(state))) ?? [];
      const keys = names.map(decodeURIComponent).filter((key) => key.startsWith(prefix));
      const entries = await Promise.all(keys.map(async (key) => ({ key, entry: await get(key) })));
      return entries.flatMap(({ key, entry }) => (entry === undefined ? [] : [key])).sort();
    },
  };
}
