import { describe, expect, it } from 'vitest';
import { type BodyLimits, readWhole } from '../../../src/http/body/read.ts';
import { tooLarge } from '../../../src/http/body/sent.ts';
import { ManualClock } from '../../support/clock.ts';
import { testBodies, testReading } from '../../support/reading.ts';

type Format = 'gzip' | 'deflate' | 'deflate-raw';

async function compressed(
  plain: ReadableStream<Uint8Array> | Uint8Array,
  format: Format,
): Promise<Uint8Array> {
  const stream = new Response(plain).body?.pipeThrough(new CompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** `mebibytes` of zeros. */
function zeros(mebibytes: number): ReadableStream<Uint8Array> {
  let left = mebibytes;
  return new ReadableStream({
    pull(controller) {
      if (left-- === 0) controller.close();
      else controller.enqueue(new Uint8Array(2 ** 20));
    },
  });
}

function post(body: Uint8Array, encoding: string): Request {
  return new Request('http://localhost/', {
    method: 'POST',
    body,
    headers: { 'content-encoding': encoding },
  });
}

/** Random bytes of low entropy: they shrink to about half and take many slices. */
function noise(bytes: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: bytes }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 0x30 + (state >>> 29);
  });
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

const limits = { maxBytes: 2 ** 20, maxDecompressedBytes: 2 ** 21 };

describe('readBody() in workerd', () => {
  it.each([
    ['gzip', 'gzip'],
    ['deflate', 'deflate'],
    ['deflate', 'deflate-raw'],
  ] as const)('decompresses %s made as %s', async (encoding, format) => {
    const plain = noise(1_200_000);
    const body = await compressed(plain, format);
    const read = await readBody(post(body, encoding), limits);
    expect(read.byteLength).toBe(plain.byteLength);
    expect(Buffer.from(read).equals(plain)).toBe(true);
  });

  it('refuses a decompression bomb after the first slices', async () => {
    const bomb = await compressed(zeros(64), 'gzip');
    expect(bomb.byteLength).toBeLessThan(limits.maxBytes);
    await expect(readBody(post(bomb, 'gzip'), limits)).rejects.toThrow(code('too_large'));
  });

  it('says invalid_request for corrupt, cut-off and over-long data', async () => {
    const body = await compressed(noise(100_000), 'gzip');
    const flipped = body.map((byte, index) => (index === 5000 ? byte ^ 0xff : byte));
    const longer = new Uint8Array(body.byteLength + 3);
    longer.set(body);
    for (const bad of [flipped, body.subarray(0, 20_000), longer, Uint8Array.of(1, 2, 3)]) {
      await expect(readBody(post(bad.slice(), 'gzip'), limits)).rejects.toThrow(code('invalid_request'));
    }
  });

  it('counts a stream without a length', async () => {
    const request = (mebibytes: number): Request =>
      new Request('http://localhost/', { method: 'POST', body: zeros(mebibytes) });
    expect((await readBody(request(1), limits)).byteLength).toBe(2 ** 20);
    await expect(readBody(request(2), limits)).rejects.toThrow(code('too_large'));
  });

  it('reads a large declared body into one buffer, from streams of the platform and of pieces', async () => {
    const plain = noise(1_000_000);
    const headers = { 'content-length': String(plain.byteLength) };
    const native = new Request('http://localhost/', { method: 'POST', body: plain, headers });
    expect(Buffer.from(await readBody(native, limits)).equals(plain)).toBe(true);
    const pieces = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(plain.subarray(0, 400_000));
        controller.enqueue(plain.subarray(400_000));
        controller.close();
      },
    });
    const made = new Request('http://localhost/', { method: 'POST', body: pieces, headers });
    expect(Buffer.from(await readBody(made, limits)).equals(plain)).toBe(true);
  });

  it('says how much came of a declared body that ends early, and ends one that stops', async () => {
    const request = (body: ReadableStream<Uint8Array>): Request =>
      new Request('http://localhost/', { method: 'POST', body, headers: { 'content-length': '500000' } });
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const written = writer.write(noise(300_000)).then(() => writer.close());
    await expect(readBody(request(readable), limits)).rejects.toThrow('the body ended after 300000 bytes');
    await written;

    const clock = new ManualClock();
    const stopped = new TransformStream<Uint8Array, Uint8Array>();
    const reading = readWhole(request(stopped.readable), limits, testReading(testBodies({ clock })));
    await stopped.writable.getWriter().write(noise(100_000));
    clock.advance(10_000);
    await expect(reading).rejects.toThrow(code('body_timeout'));
  });
});
