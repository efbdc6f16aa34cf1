/**
 * A directory as a blob store and as a state store, for the Node origin, tests and tools.
 *
 * Blobs are written to a temporary file, synced, and renamed into place, so that a reader sees all of a blob or nothing.
 *
 * A state key is a directory of numbered generations. The highest generation holds the value, and its number is the etag. A
 * write creates the next number with `link`, which fails if the name exists. So one of two processes wins, and a crash leaves
 * no lock behind. The last `keptGenerations` stay; older ones are removed. Files and folders that this driver did not create
 * are ignored.
 */

import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Bytes } from '../bytes.ts';
import { EdgewiseError } from '../errors.ts';
import { blobKey, matchesDigest, parseDigest } from './digest.ts';
import { hasCode, syncDirectory, unlessAbsent, unlessFull, writeTemporary } from './fs-files.ts';
import { keyOfOldSegment, keyOfSegment, segmentOf } from './fs-keys.ts';
import type { BlobStore, Digest, KeyEtag, StateEntry, StateStore, WriteCondition } from './types.ts';

const keptGenerations = 16;
const generationDigits = 15;
const generationForm = /^\d{15}$/;
/** Content of a generation that marks the key as deleted. No value may begin with NUL. */
const tombstone = '\0deleted';

/** Returns a blob store under `root`. */
export function fsBlobStore(root: string): BlobStore {
  const temporary = join(root, 'temporary');
  /** Checks the digest again, because it becomes a path. */
  const pathOf = (digest: Digest) => join(root, blobKey(parseDigest(digest)));

  async function read(path: string): Promise<Bytes | undefined> {
    const file = await unlessAbsent(readFile(path));
    return file && new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
  }

  /** Removes the file at `path` unless it has its digest. Moves it first, so that no writer replaces it while it is read. */
  async function removeUnlessRight(path: string, digest: Digest): Promise<void> {
    await mkdir(temporary, { recursive: true });
    const aside = join(temporary, randomUUID());
    if ((await unlessAbsent(rename(path, aside).then(() => true))) === undefined) return;
    try {
      const bytes = await read(aside);
      if (bytes !== undefined && (await matchesDigest(bytes, digest))) await link(aside, path);
    } catch (error) {
      // EEXIST: another writer has stored the blob meanwhile.
      if (!hasCode(error, 'EEXIST')) throw error;
    } finally {
      await rm(aside, { force: true });
    }
  }

  return {
    name: 'fs',
    get: async (digest) => read(pathOf(digest)),
    async has(digest) {
      return (await unlessAbsent(stat(pathOf(digest)))) !== undefined;
    },
    async byteLength(digest) {
      return (await unlessAbsent(stat(pathOf(digest))))?.size;
    },
    async put(digest, bytes) {
      const path = pathOf(digest);
      await unlessFull(`blob of ${bytes.byteLength} bytes`, async () => {
        await mkdir(dirname(path), { recursive: true });
        const written = await writeTemporary(temporary, bytes);
        await rename(written, path);
        await syncDirectory(dirname(path));
      });
    },
    async delete(digest) {
      await rm(pathOf(digest), { force: true });
    },
    async discardWrong(digest) {
      const path = pathOf(digest);
      const bytes = await read(path);
      if (bytes === undefined || (await matchesDigest(bytes, digest))) return;
      await removeUnlessRight(path, digest);
    },
  };
}

function generationName(generation: number): string {
  return String(generation).padStart(generationDigits, '0');
}

/**
 * Renames folders of an older release, once per store.
 *
 * @returns Key → old name of each folder that cannot be renamed because the disk is read only.
 */
async function renameOldFolders(state: string): Promise<ReadonlyMap<string, string>> {
  const kept = new Map<string, string>();
  for (const name of (await unlessAbsent(readdir(state))) ?? []) {
    const key = keyOfOldSegment(name);
    if (key === undefined) continue;
    try {
      await rename(join(state, name), join(state, segmentOf(key)));
    } catch (error) {
      if (hasCode(error, 'EROFS', 'EACCES', 'EPERM')) kept.set(key, name);
      // ENOENT: another process was faster. The other codes: the new folder exists and is used.
      else if (!hasCode(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR')) throw error;
    }
  }
  return kept;
}

/** Returns a state store under `root`, safe for several processes on one file system with hard links. */
export function fsStateStore(root: string): StateStore {
  return new FsStateStore(root);
}

class FsStateStore implements StateStore {
  readonly name = 'fs';
  readonly #temporary: string;
  readonly #state: string;
  #oldFolders: Promise<ReadonlyMap<string, string>> | undefined;

  constructor(root: string) {
    this.#temporary = join(root, 'temporary');
    this.#state = join(root, 'state');
  }

  async get(key: string): Promise<StateEntry | undefined> {
    const { generation, value } = await readNewest(await this.#directoryOf(key));
    return value === undefined ? undefined : { value, etag: String(generation) };
  }

  async getIfChanged(key: string, etag: string): Promise<StateEntry | 'unchanged' | undefined> {
    const entry = await this.get(key);
    return entry?.etag === etag ? 'unchanged' : entry;
  }

  async put(key: string, value: string, condition: WriteCondition): Promise<string | undefined> {
    if (value.startsWith('\0')) {
      throw new EdgewiseError('invalid_request', `value of ${key} begins with NUL; expected text`);
    }
    const directory = await this.#directoryOf(key);
    const standing = await readNewest(directory);
    const holds =
      'ifAbsent' in condition
        ? standing.value === undefined
        : standing.value !== undefined && String(standing.generation) === condition.ifMatch;
    if (!holds) return undefined;
    const isWritten = await unlessFull(`state of ${value.length} characters`, () =>
      this.#append(directory, standing.generation, value),
    );
    return isWritten ? String(standing.generation + 1) : undefined;
  }

  async delete(key: string, { ifMatch }: { readonly ifMatch: string }): Promise<boolean> {
    const directory = await this.#directoryOf(key);
    const standing = await readNewest(directory);
    if (standing.value === undefined || String(standing.generation) !== ifMatch) return false;
    return unlessFull('a removal', () => this.#append(directory, standing.generation, tombstone));
  }

  async list(prefix: string): Promise<readonly string[]> {
    return (await this.listEtags(prefix)).map(({ key }) => key);
  }

  async listEtags(prefix: string): Promise<readonly KeyEtag[]> {
    const old = await this.#readOldFolders();
    const names = (await unlessAbsent(readdir(this.#state))) ?? [];
    const keys = [...new Set([...names.map(keyOfSegment), ...old.keys()])]
      .filter((key) => key !== undefined)
      .filter((key) => key.startsWith(prefix))
      .sort();
    const entries = await Promise.all(keys.map(async (key) => ({ key, entry: await this.get(key) })));
    return entries.flatMap(({ key, entry }) => (entry === undefined ? [] : [{ key, etag: entry.etag }]));
  }

  async #readOldFolders(): Promise<ReadonlyMap<string, string>> {
    this.#oldFolders ??= renameOldFolders(this.#state);
    try {
      return await this.#oldFolders;
    } catch (error) {
      // The next call tries again.
      this.#oldFolders = undefined;
      throw error;
    }
  }

  async #directoryOf(key: string): Promise<string> {
    return join(this.#state, (await this.#readOldFolders()).get(key) ?? segmentOf(key));
  }

  /**
   * Writes generation `after + 1`. Returns false if another process has written it.
   *
   * If the writer stalled between its read and this step, the name may be free again because the generation was removed as
   * old. A generation is removed only if `keptGenerations` newer ones exist, which the second read detects.
   */
  async #append(directory: string, after: number, content: string): Promise<boolean> {
    await mkdir(directory, { recursive: true });
    const written = await writeTemporary(this.#temporary, content);
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
    const standing = await listGenerations(directory);
    const newest = standing.at(-1) ?? 0;
    if (newest - (after + 1) >= keptGenerations) {
      await rm(path, { force: true });
      throw new EdgewiseError(
        'internal',
        'a write stalled for so long that its outcome is unknown, read the key and try again',
      );
    }
    const old = standing.filter((generation) => newest - generation >= keptGenerations);
    await Promise.all(
      old.map((generation) => rm(join(directory, generationName(generation)), { force: true })),
    );
    return true;
  }
}

/** Returns the generations of a key, ascending. */
async function listGenerations(directory: string): Promise<number[]> {
  const entries = (await unlessAbsent(readdir(directory, { withFileTypes: true }))) ?? [];
  return entries
    .filter((entry) => entry.isFile() && generationForm.test(entry.name))
    .map(({ name }) => Number(name))
    .sort((a, b) => a - b);
}

/** Returns the newest generation and its value; generation 0 if there is none, no value if the key is deleted. */
async function readNewest(directory: string): Promise<{ generation: number; value: string | undefined }> {
  for (;;) {
    const generation = (await listGenerations(directory)).at(-1);
    if (generation === undefined) return { generation: 0, value: undefined };
    const value = await unlessAbsent(readFile(join(directory, generationName(generation)), 'utf8'));
    // Removed between the two steps: another process has written, so read again.
    if (value !== undefined) return { generation, value: value === tombstone ? undefined : value };
  }
}
