/** Reads a whole body: first as it was sent, then inflated, each within its limit and both within one budget. */
import type { Bytes } from '../../bytes.ts';
import { contentEncoding, inflate } from './inflate.ts';
import { type Overlong, type Reading, readSent } from './sent.ts';

export interface BodyLimits {
  /** Most bytes as sent. */
  readonly maxBytes: number;
  /** Most bytes after decompression, if the body is compressed. */
  readonly maxDecompressedBytes: number;
}

/**
 * Returns the whole body, decompressed, or a body over a limit as far as it was read. An uncompressed body is not copied if
 * it has a Content-Length or comes in one chunk.
 *
 * @throws EdgewiseError `unsupported_encoding` for anything but gzip and deflate (zlib-wrapped or raw); `overloaded`;
 * `body_timeout`; `invalid_request` when the compressed data is corrupt or the body is cut off.
 */
export async function readWhole(
  request: Request,
  limits: BodyLimits,
  reading: Reading,
): Promise<Bytes | Overlong> {
  const encoding = contentEncoding(request.headers.get('content-encoding'));
  const sent = await readSent(request, limits.maxBytes, reading);
  if (!(sent instanceof Uint8Array) || encoding === undefined || sent.byteLength === 0) return sent;
  const before = reading.hold.bytes - sent.byteLength;
  const inflated = await inflate(sent, encoding, limits.maxDecompressedBytes, reading.hold);
  reading.hold.shrinkTo(before + (inflated ?? sent).byteLength);
  return (
    inflated ?? {
      what: 'the body decompresses to more',
      maxBytes: limits.maxDecompressedBytes,
      whole: () => sent,
      discard: () => undefined,
    }
  );
}
