/** Helpers of the fs drivers: absent files, full disks, and atomic writes. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EdgewiseError } from '../errors.ts';

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code)
  );
}

/** Returns the result of `work`, or undefined if the file or directory does not exist. */
export async function unlessAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    // ENOTDIR: a foreign file is in the place of a directory.
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/**
 * Runs a write.
 *
 * @param what Names the data in the message.
 * @throws EdgewiseError `storage_full` if the disk, or the user's quota, is full.
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

/** Makes entries of a directory durable, if the file system supports that. */
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

/** Writes `content` to a new file in `directory`, syncs it, and returns its path. Leaves no file if it fails. */
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
