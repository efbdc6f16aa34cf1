/** Searches everything that was written for a marker, in every form in which text or numbers are likely to be stored. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { brotliDecompressSync, constants, inflateRawSync } from 'node:zlib';

export interface Marker {
  /** Lower-case letters and digits, so that it is also valid as a purpose, a model's name and an id. */
  readonly text: string;
  /** Two consecutive numbers. */
  readonly whole: readonly [bigint, bigint];
  readonly real: readonly [number, number];
}

export interface Sink {
  readonly name: string;
  readonly bytes: Buffer;
}

export interface Hit {
  readonly sink: string;
  readonly form: string;
  /** The text around it. */
  readonly excerpt: string;
}

export function newMarker(prefix: string): Marker {
  const random = (digits: number) =>
    Array.from(crypto.getRandomValues(new Uint8Array(digits)), (byte) => byte % 10).join('');
  const hex = Buffer.from(crypto.getRandomValues(new Uint8Array(12))).toString('hex');
  return {
    text: `${prefix}${hex}`,
    whole: [BigInt(`7${random(17)}`), BigInt(`8${random(17)}`)],
    real: [Math.fround(Number(`0.${random(9)}`)), Math.fround(Number(`0.${random(9)}`))],
  };
}

/** Returns every form of the marker, by name. */
export function formsOf({ text, whole, real }: Marker): ReadonlyMap<string, Buffer> {
  const utf8 = Buffer.from(text);
  const utf16 = Buffer.from(text, 'utf16le');
  const words = new BigInt64Array(whole);
  return new Map([
    ['text', utf8],
    ['upper case', Buffer.from(text.toUpperCase())],
    ['UTF-16', utf16],
    ['UTF-16, big-endian', Buffer.from(utf16).swap16()],
    ['reversed', Buffer.from(utf8).reverse()],
    ['hex', Buffer.from(utf8.toString('hex'))],
    ['HEX', Buffer.from(utf8.toString('hex').toUpperCase())],
    ...[0, 1, 2].flatMap((shift): [string, Buffer][] => [
      [`base64, ${shift} bytes on`, Buffer.from(base64Within(utf8, shift))],
      [`base64 of UTF-16, ${shift} bytes on`, Buffer.from(base64Within(utf16, shift))],
    ]),
    ['code points', Buffer.from([...utf8].join(','))],
    ['whole numbers, as text', Buffer.from(String(whole[0]))],
    ['whole numbers', Buffer.from(words.buffer)],
    ['whole numbers, big-endian', Buffer.from(new BigInt64Array(whole).buffer).swap64()],
    ['real numbers', Buffer.from(new Float32Array(real).buffer)],
    ['real numbers, in double precision', Buffer.from(new Float64Array(real).buffer)],
  ]);
}

/** Returns the part of the base64 of `bytes` after `shift` other bytes that does not depend on them or on what follows. */
function base64Within(bytes: Buffer, shift: number): string {
  const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
  const first = Math.ceil((shift * 8) / 6);
  const whole = Math.floor(((shift + bytes.byteLength) * 8) / 6);
  return text.slice(first, whole);
}

export function search(sinks: readonly Sink[], marker: Marker): readonly Hit[] {
  const forms = formsOf(marker);
  return sinks.flatMap(({ name, bytes }) =>
    [bytes, ...decompress(bytes)].flatMap((content) =>
      [...forms].flatMap(([form, pattern]) => {
        const at = content.indexOf(pattern);
        if (at < 0) return [];
        const excerpt = content
          .subarray(Math.max(0, at - 80), at + pattern.byteLength + 80)
          .toString('latin1');
        return [{ sink: name, form, excerpt: excerpt.replace(/[^\x20-\x7e]+/g, '·') }];
      }),
    ),
  );
}

const partial = { finishFlush: constants.Z_SYNC_FLUSH };

/** Returns the decompress content: of the whole, and of any gzip or zlib stream that begins anywhere in it. */
function decompress(bytes: Buffer): readonly Buffer[] {
  const found: Buffer[] = [];
  const attempt = (work: () => Buffer) => {
    try {
      found.push(work());
    } catch {
      // Not a stream of this kind.
    }
  };
  attempt(() => brotliDecompressSync(bytes));
  attempt(() => inflateRawSync(bytes));
  for (const at of streamsIn(bytes)) attempt(() => inflateRawSync(bytes.subarray(at), partial));
  return found;
}

/** Returns the offsets at which deflated data may begin, after a header of gzip (RFC 1952) or zlib (RFC 1950). */
function* streamsIn(bytes: Buffer): Generator<number> {
  for (let at = bytes.indexOf(0x1f); at >= 0; at = bytes.indexOf(0x1f, at + 1)) {
    if (bytes[at + 1] !== 0x8b || bytes[at + 2] !== 8) continue;
    const hasName = ((bytes[at + 3] ?? 0) & 8) !== 0;
    yield hasName ? bytes.indexOf(0, at + 10) + 1 : at + 10;
  }
  for (let at = bytes.indexOf(0x78); at >= 0; at = bytes.indexOf(0x78, at + 1)) {
    if ((0x7800 + (bytes[at + 1] ?? 0)) % 31 === 0) yield at + 2;
  }
}

/** Returns every file under `folder` as a sink. */
export function filesUnder(folder: string, name: string): readonly Sink[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return { name: `${name}/${relative(folder, path)}`, bytes: readFileSync(path) };
    });
}
