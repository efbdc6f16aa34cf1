/** Files on disk that are read by range. */
import { createHash } from 'node:crypto';
import { realpathSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { EdgewiseError } from '../errors.ts';
import { type ByteSource, checkRange } from '../repository/onnx/byte-source.ts';

const digestBytes = 4 * 1024 * 1024;

/**
 * The file at `path`. It is opened for each read, so nothing has to be closed.
 *
 * @throws Error of the file system where there is none; EdgewiseError `invalid_request` for what is no file.
 */
export function fileSource(path: string): ByteSource {
  const found = statSync(path);
  if (!found.isFile()) {
    throw new EdgewiseError('invalid_request', `${path} cannot be read: it is no file`);
  }
  const byteLength = found.size;
  const source: ByteSource = {
    byteLength,
    async read(begin, end) {
      checkRange(byteLength, begin, end);
      const bytes = new Uint8Array(end - begin);
      const handle = await open(path, 'r');
      try {
        for (let at = 0; at < bytes.byteLength; ) {
          const { bytesRead } = await handle.read(bytes, at, bytes.byteLength - at, begin + at);
          if (bytesRead === 0) {
            throw new EdgewiseError(
              'invalid_request',
              `${path} had ${byteLength} bytes and ends at ${begin + at} now: it was changed while it was read`,
            );
          }
          at += bytesRead;
        }
      } finally {
        await handle.close();
      }
      return bytes;
    },
    async digest() {
      const hash = createHash('sha256');
      for (let at = 0; at < byteLength; at += digestBytes) {
        hash.update(await source.read(at, Math.min(byteLength, at + digestBytes)));
      }
      return `sha256:${hash.digest('hex')}`;
    },
  };
  return source;
}

/** Undefined for what is not there or, by `..` or a link, lies elsewhere: a model from outside may name any file. */
export function fileWithin(folder: string, file: string): ByteSource | undefined {
  try {
    const path = realpathSync(join(folder, file));
    return path.startsWith(realpathSync(folder) + sep) ? fileSource(path) : undefined;
  } catch {
    return undefined;
  }
}
