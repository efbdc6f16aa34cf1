import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Digest } from '../../storage/types.ts';

/** A file that is read by range, so that it is never in memory as a whole. */
export interface ByteSource {
  readonly byteLength: number;
  /**
   * Returns a copy of bytes `begin` (inclusive) to `end` (exclusive).
   *
   * @throws EdgewiseError `invalid_request` if the range is not within the file.
   */
  read(begin: number, end: number): Promise<Bytes>;
  /** Returns the SHA-256 of the whole file. */
  digest(): Promise<Digest>;
}

/** @throws EdgewiseError `invalid_request` */
export function checkRange(byteLength: number, begin: number, end: number): void {
  if (!(begin >= 0 && begin <= end && end <= byteLength)) {
    throw new EdgewiseError(
      'invalid_request',
      `bytes ${begin} to ${end} cannot be read from a file of ${byteLength} bytes`,
    );
  }
}
