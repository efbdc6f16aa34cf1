/** A whole body: read as it was sent, then inflated, both within their limits and one budget. */
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
 * The whole body, decompressed; one that is over a limit is given back, as far as it was read, for whoever can take more.
 * Not copied when it has a Content-Length or comes in one chunk, and is not compressed.
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
