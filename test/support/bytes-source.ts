import type { Bytes } from '../../src/bytes.ts';
import { type ByteSource, checkRange } from '../../src/repository/onnx/byte-source.ts';
import { digestOf } from '../../src/storage/digest.ts';

/** Returns a source over bytes in memory. */
export function bytesSource(bytes: Bytes): ByteSource {
  return {
    byteLength: bytes.byteLength,
    async read(begin, end) {
      checkRange(bytes.byteLength, begin, end);
      return bytes.slice(begin, end);
    },
    digest: () => digestOf(bytes),
  };
}
