/** Steps of the fs drivers: what is absent, what is full, and files that are there as a whole or not at all. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EdgewiseError } from '../errors.ts';

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code)
  );
}

/** The result of `work`, or undefined when the file or directory is not there. */
export async function unlessAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    // ENOTDIR: a file that is not ours stands where a directory would.
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/**
 * @param what For the message: what is written.
 * @throws EdgewiseError `storage_full` when the disk, or the quota of the user, is full.
 */
export async function unlessFull<T>(what: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
    throw new EdgewiseError(
      'storage_full',
      `${what} cannot be stored: the disk of the model repository is full. Free some space there, then try again`,
      { cause: error },
    );
  }
}

/** Makes entries of a directory durable. A file system that cannot do that is left to do what it does. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (!hasCode(error, 'EINVAL', 'EPERM')) throw error;
  } finally {
    await handle.close();
  }
}

/** Writes `content` to a new file in `directory`, synced, and returns its path. Leaves no file when it fails. */
export async function writeTemporary(directory: string, content: Uint8Array | string): Promise<string> {
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
