/** Bodies that share the memory of one server, and callers who send slowly, stop, or leave. */
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type BodyLimits, readWhole } from '../../src/http/body/read.ts';
import { startUpload } from '../../src/http/body/upload.ts';
import { ManualClock } from '../support/clock.ts';
import { testBodies, testReading } from '../support/reading.ts';

const mebibyte = 1024 * 1024;
const wide: BodyLimits = { maxBytes: 16 * mebibyte, maxDecompressedBytes: 16 * mebibyte };
const overloaded = expect.objectContaining({ code: 'overloaded', retryAfterSeconds: 1 });
const tooSlow = expect.objectContaining({ code: 'body_timeout' });

function post(
  body: ReadableStream | Uint8Array<ArrayBuffer> | null,
  headers: Record<string, string> = {},
): Request {
  return new Request('http://localhost/', { method: 'POST', body, headers, duplex: 'half' });
}

function declared(byteLength: number): Record<string, string> {
  return { 'Content-Length': String(byteLength) };
}

/** A body whose pieces come when the test sends them. */
function typed() {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let cancelled: unknown;
  const stream = new ReadableStream<Uint8Array>({
    start(given) {
      controller = given;
    },
    cancel(reason) {
      cancelled = reason;
    },
  });
  return {
    stream,
    send: (bytes: number) => controller?.enqueue(new Uint8Array(bytes)),
    end: () => controller?.close(),
    breakOff: () => controller?.error(new Error('gone')),
    cancelled: () => cancelled,
  };
}

/** Lets what waits for a piece take it. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('the budget of all bodies', () => {
  it('refuses a declared body that does not fit beside the others before reading it', async () => {
    const bodies = testBodies({ maxBytes: 2 * mebibyte });
    await readWhole(post(new Uint8Array(mebibyte), declared(mebibyte)), wide, testReading(bodies));
    const second = typed();
    const reading = readWhole(post(second.stream, declared(mebibyte + 1)), wide, testReading(bodies));
    await expect(reading).rejects.toThrow(overloaded);
    expect(bodies.budget.heldBytes).toBe(mebibyte);
  });

  it('shrinks with each piece of a body without a length', async () => {
    const bodies = testBodies({ maxBytes: 2 * mebibyte });
    await readWhole(post(new Uint8Array(mebibyte), declared(mebibyte)), wide, testReading(bodies));
    const second = typed();
    const reading = readWhole(post(second.stream), wide, testReading(bodies));
    second.send(mebibyte);
    await settle();
    expect(bodies.budget.heldBytes).toBe(2 * mebibyte);
    second.send(1);
    await expect(reading).rejects.toThrow(overloaded);
    expect(second.cancelled()).toEqual(overloaded);
  });

  it('counts a compressed body and its inflated form while it inflates, then the inflated form alone', async () => {
    const bodies = testBodies({ maxBytes: 2 * mebibyte });
    await readWhole(post(new Uint8Array(mebibyte), declared(mebibyte)), wide, testReading(bodies));
    const gzip = (bytes: number) => {
      const body = new Uint8Array(gzipSync(new Uint8Array(bytes)));
      return post(body, { ...declared(body.byteLength), 'Content-Encoding': 'gzip' });
    };
    const fits = testReading(bodies);
    await readWhole(gzip(mebibyte - 10_000), wide, fits);
    expect(fits.hold.bytes).toBe(mebibyte - 10_000);
    fits.hold.release();
    await expect(readWhole(gzip(8 * mebibyte), wide, testReading(bodies))).rejects.toThrow(overloaded);
  });

  it('gives no memory to a body over its own limit', async () => {
    const bodies = testBodies();
    await readWhole(post(typed().stream, declared(17 * mebibyte)), wide, testReading(bodies));
    expect(bodies.budget.heldBytes).toBe(0);
  });
});

describe('the least pace of an upload', () => {
  it.each([
    ['a small body', 1000],
    ['a large body', mebibyte],
  ])('cuts off %s that lacks its last byte', async (_, byteLength) => {
    const clock = new ManualClock();
    const upload = typed();
    const request = post(upload.stream, declared(byteLength));
    const reading = readWhole(request, wide, testReading(testBodies({ clock })));
    upload.send(byteLength - 1);
    await settle();
    clock.advance(10_000);
    clock.advance(10_000);
    await expect(reading).rejects.toThrow(tooSlow);
    expect(clock.pending).toBe(0);
  });

  it('cuts off a body without a length that stops or drips', async () => {
    const clock = new ManualClock();
    const upload = typed();
    const reading = readWhole(post(upload.stream), wide, testReading(testBodies({ clock })));
    upload.send(200_000);
    await settle();
    clock.advance(10_000);
    upload.send(163_839);
    await settle();
    clock.advance(10_000);
    await expect(reading).rejects.toThrow(tooSlow);
    expect(upload.cancelled()).toEqual(tooSlow);
  });

  it('accepts a slow body that keeps the least pace', async () => {
    const clock = new ManualClock();
    const upload = typed();
    const reading = readWhole(
      post(upload.stream, declared(1_638_400)),
      wide,
      testReading(testBodies({ clock })),
    );
    for (let sent = 0; sent < 1_638_400; sent += 163_840) {
      upload.send(163_840);
      await settle();
      clock.advance(10_000);
    }
    upload.end();
    expect(await reading).toHaveLength(1_638_400);
    expect(clock.pending).toBe(0);
  });

  it('leaves no timer behind after a body arrived or broke off', async () => {
    const clock = new ManualClock();
    const bodies = testBodies({ clock });
    for (const bytes of [10, mebibyte]) {
      await readWhole(post(new Uint8Array(bytes), declared(bytes)), wide, testReading(bodies));
      const broken = typed();
      const reading = readWhole(post(broken.stream, declared(bytes)), wide, testReading(bodies));
      broken.breakOff();
      await expect(reading).rejects.toThrow(expect.objectContaining({ code: 'invalid_request' }));
    }
    expect(clock.pending).toBe(0);
  });

  it('reports how many bytes arrived of a body that ended early', async () => {
    const upload = typed();
    const reading = readWhole(post(upload.stream, declared(mebibyte)), wide, testReading());
    upload.send(5);
    upload.end();
    await expect(reading).rejects.toThrow('the body ended after 5 bytes, Content-Length says 1048576');
  });
});

describe('an upload to an origin', () => {
  const options = { maxBytes: mebibyte, pace: { windowMs: 10_000, minBytesPerSecond: 16_384 } };

  function start(upload: ReturnType<typeof typed>, clock = new ManualClock()) {
    const started = startUpload(post(null), upload.stream, { ...options, clock });
    const reader = started.body.getReader();
    return { clock, started, read: () => reader.read() };
  }

  it('arrives as it was sent', async () => {
    const upload = typed();
    const { clock, read, started } = start(upload);
    upload.send(3);
    expect((await read()).value).toEqual(new Uint8Array(3));
    upload.end();
    expect((await read()).done).toBe(true);
    expect(started.fault).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  it("ends as the caller's fault when the caller stops, but not while the origin does not read", async () => {
    const upload = typed();
    const { clock, read, started } = start(upload);
    upload.send(3);
    await read();
    clock.advance(3_600_000);
    const late = expect(read()).rejects.toThrow(tooSlow);
    await settle();
    clock.advance(10_000);
    await late;
    expect(started.fault).toEqual(tooSlow);
  });

  it('ends when the caller has used up the time for the whole body', async () => {
    const upload = typed();
    const { clock, read, started } = start(upload);
    started.limitTo(24_000);
    for (let piece = 0; piece < 3; piece += 1) {
      const reading = read();
      await settle();
      clock.advance(7900);
      upload.send(200_000);
      await reading;
    }
    const late = expect(read()).rejects.toThrow(tooSlow);
    await settle();
    clock.advance(300);
    await late;
  });

  it("ends as the caller's fault when the caller sends too much or breaks off", async () => {
    const large = typed();
    const first = start(large);
    large.send(mebibyte + 1);
    await expect(first.read()).rejects.toThrow(expect.objectContaining({ code: 'too_large' }));
    expect(first.started.fault).toMatchObject({ code: 'too_large' });
    const broken = typed();
    const second = start(broken);
    broken.breakOff();
    await expect(second.read()).rejects.toThrow(expect.objectContaining({ code: 'invalid_request' }));
    expect(second.started.fault).toMatchObject({ code: 'invalid_request' });
  });
});
