import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BodyLimits, readWhole } from '../../src/http/body/read.ts';
import { tooLarge } from '../../src/http/body/sent.ts';
import { testReading } from '../support/reading.ts';

const limits = { maxBytes: 1000, maxDecompressedBytes: 100_000 };

interface PostOptions {
  readonly encoding?: string;
  readonly contentLength?: number;
}

function post(body: Uint8Array<ArrayBuffer> | ReadableStream | null, options: PostOptions = {}): Request {
  const headers = new Headers();
  if (options.encoding !== undefined) headers.set('content-encoding', options.encoding);
  if (options.contentLength !== undefined) headers.set('content-length', String(options.contentLength));
  const init: RequestInit = { method: 'POST', body, headers, duplex: 'half' };
  return new Request('http://localhost/', init);
}

/** The body, or the refusal that it meets. */
async function readBody(request: Request, limits: BodyLimits): Promise<Uint8Array> {
  const read = await readWhole(request, limits, testReading());
  if (read instanceof Uint8Array) return read;
  read.discard();
  throw tooLarge(read);
}

function code(expected: string): unknown {
  return expect.objectContaining({ code: expected });
}

/** A stream that notes how many chunks were asked for. */
function counted(chunks: number, chunkBytes: number): { stream: ReadableStream; pulled: () => number } {
  let count = 0;
  const stream = new ReadableStream(
    {
      pull(controller) {
        if (count === chunks) return controller.close();
        count++;
        controller.enqueue(new Uint8Array(chunkBytes));
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, pulled: () => count };
}

describe('readBody()', () => {
  it('returns the bytes of a body with or without a length', async () => {
    const body = Uint8Array.of(1, 2, 3);
    expect(await readBody(post(body), limits)).toEqual(body);
    expect(await readBody(post(body, { contentLength: 3 }), limits)).toEqual(body);
    expect(await readBody(post(null), limits)).toEqual(new Uint8Array(0));
  });

  it('returns a body of one chunk without a copy', async () => {
    const chunk = Uint8Array.of(5, 6);
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(chunk);
        controller.close();
      },
    });
    expect(await readBody(post(stream), limits)).toBe(chunk);
  });

  it('refuses a Content-Length over the limit before reading', async () => {
    const { stream, pulled } = counted(1, 10);
    await expect(readBody(post(stream, { contentLength: 1001 }), limits)).rejects.toThrow(code('too_large'));
    expect(pulled()).toBe(0);
  });

  it('accepts a body of exactly the limit and refuses one more byte', async () => {
    expect(await readBody(post(counted(10, 100).stream), limits)).toHaveLength(1000);
    await expect(readBody(post(counted(1, 1001).stream), limits)).rejects.toThrow(code('too_large'));
    const lying = post(new Uint8Array(1001), { contentLength: 5 });
    await expect(readBody(lying, limits)).rejects.toThrow(code('too_large'));
  });

  it('stops reading a stream once it is over the limit', async () => {
    const { stream, pulled } = counted(1000, 100);
    await expect(readBody(post(stream), limits)).rejects.toThrow(code('too_large'));
    expect(pulled()).toBeLessThan(13);
  });

  it('throws invalid_request when the body breaks off', async () => {
    const stream = new ReadableStream({
      pull(controller) {
        controller.error(new Error('gone'));
      },
    });
    await expect(readBody(post(stream), limits)).rejects.toThrow(code('invalid_request'));
  });

  it.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['GZIP', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
  ])('decompresses %s', async (encoding, compress) => {
    const plain = new TextEncoder().encode('{"inputs":[]}'.repeat(50));
    const request = post(new Uint8Array(compress(plain)), { encoding });
    expect(await readBody(request, limits)).toEqual(plain);
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
  ])('returns any bytes that were compressed with %s', async (encoding, compress) => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 60_000 }), async (plain) => {
        const request = post(new Uint8Array(compress(plain)), { encoding });
        const wide = { maxBytes: 100_000, maxDecompressedBytes: 60_000 };
        expect(await readBody(request, wide)).toEqual(new Uint8Array(plain));
      }),
      { numRuns: 30 },
    );
  });

  it('leaves an identity-encoded body as it is', async () => {
    expect(await readBody(post(Uint8Array.of(9), { encoding: 'identity' }), limits)).toEqual(
      Uint8Array.of(9),
    );
  });

  it.each(['br', 'zstd', 'gzip, deflate', 'nonsense'])('refuses the encoding %s', async (encoding) => {
    const request = post(new Uint8Array(4), { encoding });
    await expect(readBody(request, limits)).rejects.toThrow(code('unsupported_encoding'));
  });

  it('refuses a decompression bomb', async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(24 * 2 ** 20)));
    const wide = { maxBytes: 2 ** 20, maxDecompressedBytes: 2 ** 20 };
    const before = process.memoryUsage().arrayBuffers;
    await expect(readBody(post(bomb, { encoding: 'gzip' }), wide)).rejects.toThrow(code('too_large'));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(18 * 2 ** 20);
  });

  it('limits the decompressed size exactly', async () => {
    const bytes = new Uint8Array(gzipSync(new Uint8Array(100_000)));
    expect(await readBody(post(bytes, { encoding: 'gzip' }), limits)).toHaveLength(100_000);
    const less = { ...limits, maxDecompressedBytes: 99_999 };
    await expect(readBody(post(bytes, { encoding: 'gzip' }), less)).rejects.toThrow(code('too_large'));
  });

  const compressed = new Uint8Array(gzipSync('a body that is long enough to be cut'));
  const flipped = compressed.map((byte, index) => (index === 15 ? byte ^ 0xff : byte));
  it.each([
    ['cut off', compressed.subarray(0, 20)],
    ['flipped', flipped],
    ['not gzip at all', Uint8Array.of(1, 2, 3, 4)],
    ['a header alone', compressed.subarray(0, 10)],
    ['followed by junk', Uint8Array.of(...compressed, 1, 2, 3)],
  ])('throws invalid_request for gzip data that is %s', async (_, bytes) => {
    const request = post(new Uint8Array(bytes), { encoding: 'gzip' });
    await expect(readBody(request, limits)).rejects.toThrow(code('invalid_request'));
  });
});
