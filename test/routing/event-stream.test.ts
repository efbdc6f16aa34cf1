import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wholeEvents } from '../../src/routing/event-stream.ts';

const encoder = new TextEncoder();
const bytes = (text: string) => encoder.encode(text);

/** Returns a stream of these chunks that ends, or breaks off, after the last one. */
function streamOf(pieces: readonly Uint8Array[], end: 'closes' | 'breaks'): ReadableStream<Uint8Array> {
  const left = [...pieces];
  return new ReadableStream({
    pull(controller) {
      const piece = left.shift();
      if (piece !== undefined) controller.enqueue(piece);
      else if (end === 'closes') controller.close();
      else controller.error(new Error('reset'));
    },
  });
}

function through(pieces: readonly Uint8Array[], end: 'closes' | 'breaks'): Promise<string> {
  const { signal } = new AbortController();
  return new Response(wholeEvents(streamOf(pieces, end), { lastWord: 'the end', signal })).text();
}

function cut(text: string, at: readonly number[]): readonly Uint8Array[] {
  const whole = bytes(text);
  const ends = [...at.map((point) => point % (whole.byteLength + 1)), whole.byteLength].sort((a, b) => a - b);
  return ends.map((end, index) => whole.subarray(ends[index - 1] ?? 0, end));
}

const lineEnd = fc.constantFrom('\n', '\r\n', '\r');
const event = fc
  .tuple(fc.array(fc.string({ maxLength: 6 }), { minLength: 1, maxLength: 3 }), lineEnd)
  .map(([lines, end]) => `${lines.map((line) => `data: ${line}${end}`).join('')}${end}`);
const cuts = fc.array(fc.nat(), { maxLength: 8 });

describe('wholeEvents()', () => {
  it('passes every byte of a stream that ends, wherever its chunks end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event), fc.string({ maxLength: 9 }), cuts, async (events, tail, at) => {
        const text = events.join('') + tail;
        expect(await through(cut(text, at), 'closes')).toBe(text);
      }),
    );
  });

  it('drops half an event of a stream that breaks off, and sends an error event', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event), cuts, async (events, at) => {
        const text = `${events.join('')}data: ha`;
        expect(await through(cut(text, at), 'breaks')).toBe(`${events.join('')}data: the end\n\n`);
      }),
    );
  });

  it('sends an event that is too long to hold in pieces, and ends it before the error event', async () => {
    const long = bytes(`data: ${'x'.repeat(1024 * 1024)}`);
    const text = await through([long, bytes('more')], 'breaks');
    expect(text).toMatch(/^data: x+\n\ndata: the end\n\n$/);
  });

  it('fails without an error event if its reader is gone', async () => {
    const controller = new AbortController();
    controller.abort();
    const stream = wholeEvents(streamOf([], 'breaks'), { lastWord: 'the end', signal: controller.signal });
    await expect(new Response(stream).text()).rejects.toThrow('reset');
  });

  it('does not read ahead', async () => {
    let pulls = 0;
    const source = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulls += 1;
          controller.enqueue(bytes('data: 1\n\n'));
        },
      },
      { highWaterMark: 0 },
    );
    const reader = wholeEvents(source, { lastWord: '', signal: new AbortController().signal }).getReader();
    await Promise.resolve();
    expect(pulls).toBe(0);
    await reader.read();
    expect(pulls).toBe(1);
  });
});
