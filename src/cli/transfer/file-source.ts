/** Reads ranges of files on disk. */
import { createHash } from 'node:crypto';
import { realpathSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { EdgewiseError } from '../../errors.ts';
import { type ByteSource, checkRange } from '../../repository/onnx/byte-source.ts';

const digestBytes = 1024 * 1024;

/**
 * Returns the file at `path`. Each read opens it, so the source is never closed.
 *
 * @throws Error of the file system if nothing is at `path`; EdgewiseError `invalid_request` if it is not a file.
 */
export function fileSource(path: string): ByteSource {
  const found = statSync(path);
  if (!found.isFile()) {
    throw new EdgewiseError('invalid_request', `${path} cannot be read: it is not a file`);
  }
  const byteLength = found.size;
  const fill = async (handle: FileHandle, bytes: Uint8Array, begin: number): Promise<void> => {
    for (let at = 0; at < bytes.byteLength; ) {
      const { bytesRead } = await handle.read(bytes, at, bytes.byteLength - at, begin + at);
      if (bytesRead === 0) {
        throw new EdgewiseError(
          'invalid_request',
          `${path} had ${byteLength} bytes and now ends at ${begin + at}: it changed while it was read`,
        );
      }
      at += bytesRead;
    }
  };
  return {
    byteLength,
    async read(begin, end) {
      checkRange(byteLength, begin, end);
      const bytes = new Uint8Array(end - begin);
      const handle = await open(path, 'r');
      try {
        await fill(handle, bytes, begin);
      } finally {
        await handle.close();
      }
      return bytes;
    },
    async digest() {
      const hash = createHash('sha256');
      // One buffer for all pieces, so that garbage does not pile up.
      const buffer = new Uint8Array(Math.min(digestBytes, byteLength));
      const handle = await open(path, 'r');
      try {
        for (let at = 0; at < byteLength; at += digestBytes) {
          const bytes = buffer.subarray(0, byteLength - at);
          await fill(handle, bytes, at);
          hash.update(bytes);
        }
      } finally {
        await handle.close();
      }
      return `sha256:${hash.digest('hex')}`;
    },
  };
}

/**
 * Returns a file of `folder`; undefined if it does not exist, is not a file, or if `..` or a link leads out of the folder: a
 * model from outside may name any file.
 */
export function fileWithin(folder: string, file: string): ByteSource | undefined {
  try {
    const path = realpathSync(join(folder, file));
    return path.startsWith(realpathSync(folder) + sep) ? fileSource(path) : undefined;
  } catch {
    return undefined;
  }
}
