/**
 * Reads an ONNX file by range, without the bytes of its larger tensors: the outline is small, however large the weights.
 *
 * In the outline, one byte of `raw_data` replaces a tensor's data; its position tells which range of the file it stands for.
 * Packed floats and doubles are little-endian, as `raw_data` is, so they are cut in the same way.
 */
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import type { ByteSource } from './byte-source.ts';
import { fixed32, fixed64, lengthDelimited, maxDepth, varint } from './wire.ts';

/** Smaller data stays in the outline. */
export const minCutBytes = 1024;

/** Everything but the data of tensors is held in memory: nodes, their attributes, names. */
export const maxOutlineBytes = 128 * 1024 * 1024;

/** Where the file has the data of one tensor. */
export interface Cut {
  readonly begin: number;
  readonly byteLength: number;
  /** The field of TensorProto that held it. */
  readonly field: TensorField;
}

export type TensorField = 'rawData' | 'floatData' | 'doubleData';

export interface Outline {
  /** A message to decode; the lengths of its messages have five bytes each. */
  readonly bytes: Bytes;
  /** Position of the replacing byte in `bytes` → the data that it stands for. */
  readonly cuts: ReadonlyMap<number, Cut>;
}

/** Field number → the message in that field that may hold tensors, or the kind of data to cut out (onnx.proto). */
type Kind = ReadonlyMap<number, (() => Kind) | TensorField>;

const tensor: Kind = new Map<number, TensorField>([
  [4, 'floatData'],
  [9, 'rawData'],
  [10, 'doubleData'],
]);
const sparse: Kind = new Map([
  [1, () => tensor],
  [2, () => tensor],
]);
const attribute: Kind = new Map([
  [5, () => tensor],
  [6, () => graph],
  [10, () => tensor],
  [11, () => graph],
  [22, () => sparse],
  [23, () => sparse],
]);
const node: Kind = new Map([[5, () => attribute]]);
const graph: Kind = new Map([
  [1, () => node],
  [5, () => tensor],
  [15, () => sparse],
]);
const training: Kind = new Map([
  [1, () => graph],
  [2, () => graph],
]);
const functionBody: Kind = new Map([
  [7, () => node],
  [11, () => attribute],
]);
const model: Kind = new Map([
  [7, () => graph],
  [20, () => training],
  [25, () => functionBody],
]);

/**
 * @throws EdgewiseError `invalid_request` if the bytes are not protobuf, or are nested too deep; `too_large` if the outline
 * has more than `maxOutlineBytes`.
 */
export async function readOutline(file: ByteSource): Promise<Outline> {
  const scan = new Scan(file);
  try {
    await scan.copyMessage(model, file.byteLength, 0);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new EdgewiseError(
      'invalid_request',
      `an ONNX model of ${file.byteLength} bytes cannot be parsed: ${cause.message}`,
      { cause },
    );
  }
  return { bytes: scan.output.bytes(), cuts: scan.cuts };
}

const windowBytes = 1024 * 1024;
/** A tag and a length, or a tag and a number, of at most ten bytes each. */
const maxHeaderBytes = 20;
const rawDataTag = (9 << 3) | lengthDelimited;
const lengthBytes = 5;

class Scan {
  readonly output = new Output();
  readonly cuts = new Map<number, Cut>();
  readonly #file: ByteSource;
  #window = new Uint8Array(0);
  /** Position of the window in the file. */
  #windowBegin = 0;
  /** Position of the next byte in the file. */
  #position = 0;

  constructor(file: ByteSource) {
    this.#file = file;
  }

  /** Reads the message from the position to `end`, and writes its outline to the output. */
  async copyMessage(kind: Kind, end: number, depth: number): Promise<void> {
    if (depth > maxDepth) throw new RangeError(`messages nested more than ${maxDepth} deep`);
    let copied = this.#position;
    while (this.#position < end) {
      if (!this.#holds(maxHeaderBytes)) await this.#fill();
      const start = this.#position;
      const tag = this.#readVarint();
      const wireType = tag % 8;
      if (wireType !== lengthDelimited) {
        this.#skip(wireType);
        continue;
      }
      const length = this.#readVarint();
      const begin = this.#position;
      if (begin + length > end) throw new RangeError(`a length of ${length} bytes runs past the end`);
      const inner = length < minCutBytes ? undefined : kind.get(Math.floor(tag / 8));
      if (inner === undefined) {
        this.#position = begin + length;
        continue;
      }
      await this.#copy(copied, start);
      if (typeof inner === 'string') {
        this.output.byte(rawDataTag);
        this.output.byte(1);
        this.cuts.set(this.output.length, { begin, byteLength: length, field: inner });
        this.output.byte(0);
      } else {
        this.output.varint(tag);
        const at = this.output.reserve(lengthBytes);
        await this.copyMessage(inner(), begin + length, depth + 1);
        this.output.setLength(at, this.output.length - at - lengthBytes);
      }
      this.#position = begin + length;
      copied = this.#position;
    }
    if (this.#position !== end) throw new RangeError('a field runs past the end of its message');
    await this.#copy(copied, end);
  }

  #holds(bytes: number): boolean {
    const at = this.#position - this.#windowBegin;
    return at >= 0 && at + Math.min(bytes, this.#file.byteLength - this.#position) <= this.#window.byteLength;
  }

  async #fill(): Promise<void> {
    this.#windowBegin = this.#position;
    const end = Math.min(this.#file.byteLength, this.#position + windowBytes);
    this.#window = await this.#file.read(this.#position, end);
  }

  /** Reads a number of at most 2^53, more than any tag or any length of a file. */
  #readVarint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#window[this.#position - this.#windowBegin];
      if (byte === undefined || scale > 2 ** 49) throw new RangeError('index out of range');
      this.#position += 1;
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  }

  #skip(wireType: number): void {
    switch (wireType) {
      case varint: {
        // A negative number has ten bytes, more than a double can hold.
        for (let count = 0; ; count += 1) {
          const byte = this.#window[this.#position - this.#windowBegin];
          if (byte === undefined || count === 10) throw new RangeError('index out of range');
          this.#position += 1;
          if (byte < 128) return;
        }
      }
      case fixed64:
        this.#position += 8;
        return;
      case fixed32:
        this.#position += 4;
        return;
      default:
        throw new RangeError(`wire type ${wireType} is not one that ONNX uses`);
    }
  }

  async #copy(begin: number, end: number): Promise<void> {
    if (this.output.length + end - begin > maxOutlineBytes) {
      throw new EdgewiseError(
        'too_large',
        `an ONNX model of ${this.#file.byteLength} bytes has more than ${maxOutlineBytes} bytes without its tensors; expected fewer nodes, attributes and names`,
      );
    }
    const at = begin - this.#windowBegin;
    const isHeld = at >= 0 && at + end - begin <= this.#window.byteLength;
    this.output.append(
      isHeld ? this.#window.subarray(at, at + end - begin) : await this.#file.read(begin, end),
    );
  }
}

/** Bytes that grow at their end. */
class Output {
  #buffer = new Uint8Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  bytes(): Bytes {
    return this.#buffer.slice(0, this.#length);
  }

  append(bytes: Uint8Array): void {
    const at = this.reserve(bytes.byteLength);
    this.#buffer.set(bytes, at);
  }

  /** Appends `bytes` zeros. Returns the position of the first. */
  reserve(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.byteLength) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * this.#buffer.byteLength));
      grown.set(this.#buffer.subarray(0, at));
      this.#buffer = grown;
    }
    return at;
  }

  byte(value: number): void {
    // `reserve` may replace the buffer, so it comes first.
    const at = this.reserve(1);
    this.#buffer[at] = value;
  }

  varint(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.byte((rest % 128) + 128);
    this.byte(rest);
  }

  /** Writes `length` at `at` as a varint of `lengthBytes` bytes. */
  setLength(at: number, length: number): void {
    for (let index = 0; index < lengthBytes; index += 1) {
      const more = index < lengthBytes - 1 ? 0x80 : 0;
      this.#buffer[at + index] = (Math.floor(length / 128 ** index) % 128) | more;
    }
  }
}
