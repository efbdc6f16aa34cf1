/**
 * Typed protobuf messages over protobufjs' reader and writer, without code generation, so that they work on platforms
 * without `eval`. A message is a table of fields; a field knows how to read and write its value.
 *
 * Follows https://protobuf.dev/programming-guides/encoding: repeated scalars are accepted packed and unpacked, a singular
 * message given twice is merged, and fields that the table does not name are kept and written back. Bytes and aligned
 * packed floats are views of the input.
 */

import { Reader, Writer } from 'protobufjs/minimal.js';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';

/** The limit of protobuf's own parsers; ONNX Runtime refuses deeper messages too. */
export const maxDepth = 100;

/** An element of two bytes can become an object of a hundred bytes, so the number of elements bounds the memory of decoding. */
const maxElements = 4_000_000;

/** Wire types. */
export const varint = 0;
export const fixed64 = 1;
export const lengthDelimited = 2;
export const fixed32 = 5;

/** The state of the limits while one file is decoded. */
export interface Limits {
  depth: number;
  /** Elements that may still be read. */
  elements: number;
  /** End of the message whose field is being read. */
  end: number;
}

/** Reads and writes one field. */
export interface Field<V> {
  readonly id: number;
  /**
   * Returns undefined if `wireType` is not one of this field, which is then kept as an unknown field.
   *
   * @param previous The value that the message already has for this field.
   */
  read(reader: Reader, wireType: number, previous: V | undefined, limits: Limits): V | undefined;
  write(writer: Writer, value: V): void;
}

/** Keys of a message that are not fields of the file; see `StoredBytes`. */
type Unwritten = 'unknownFields' | 'stored';

/** Fields that the table does not name, each with its tag, as in the input. */
export interface UnknownFields {
  readonly unknownFields?: readonly Uint8Array[];
}

export type Fields<T> = {
  readonly [K in Exclude<keyof T, Unwritten>]-?: Field<Exclude<T[K], undefined>>;
};

export interface MessageCodec<T> {
  read(reader: Reader, end: number, previous: T | undefined, limits: Limits): T;
  write(writer: Writer, value: T): void;
}

export function spend(limits: Limits, elements: number): void {
  limits.elements -= elements;
  if (limits.elements < 0) {
    throw new RangeError(`more than ${maxElements} elements`);
  }
}

export function lengthEnd(reader: Reader): number {
  const length = reader.size();
  const end = reader.pos + length;
  if (end > reader.len) {
    throw new RangeError(`a length of ${length} bytes runs past the end`);
  }
  return end;
}

export function bigInt(long: { readonly low: number; readonly high: number }): bigint {
  return (BigInt(long.high) << 32n) | BigInt(long.low >>> 0);
}

export function writeBigInt(writer: Writer, value: bigint): void {
  const signed = BigInt.asIntN(64, value);
  const number = Number(signed);
  writer.int64(Number.isSafeInteger(number) ? number : signed.toString());
}

interface Scalar<V> {
  readonly wireType: number;
  read(reader: Reader): V;
  write(writer: Writer, value: V): void;
}

const scalars = {
  string: {
    wireType: lengthDelimited,
    read: (reader) => reader.stringVerify(),
    write: (writer, value) => void writer.string(value),
  } satisfies Scalar<string>,
  bytes: {
    wireType: lengthDelimited,
    read: (reader) => reader.bytes(),
    write: (writer, value) => void writer.bytes(value),
  } satisfies Scalar<Uint8Array>,
  int32: {
    wireType: varint,
    read: (reader) => reader.int32(),
    write: (writer, value) => void writer.int32(value),
  } satisfies Scalar<number>,
  int64: {
    wireType: varint,
    read: (reader) => bigInt(reader.int64()),
    write: writeBigInt,
  } satisfies Scalar<bigint>,
  float: {
    wireType: fixed32,
    read: (reader) => reader.float(),
    write: (writer, value) => void writer.float(value),
  } satisfies Scalar<number>,
};

function defineSingular<V>(scalar: Scalar<V>): (id: number) => Field<V> {
  return (id) => ({
    id,
    read(reader, wireType) {
      return wireType === scalar.wireType ? scalar.read(reader) : undefined;
    },
    write(writer, value) {
      writer.uint32((id << 3) | scalar.wireType);
      scalar.write(writer, value);
    },
  });
}

function defineRepeated<V>(scalar: Scalar<V>): (id: number) => Field<V[]> {
  return (id) => ({
    id,
    read(reader, wireType, previous = [], limits) {
      if (wireType === scalar.wireType) {
        spend(limits, 1);
        previous.push(scalar.read(reader));
      } else if (wireType === lengthDelimited) {
        for (const end = lengthEnd(reader); reader.pos < end; ) {
          spend(limits, 1);
          previous.push(scalar.read(reader));
        }
      } else {
        return undefined;
      }
      return previous;
    },
    write(writer, values) {
      for (const value of values) {
        writer.uint32((id << 3) | scalar.wireType);
        scalar.write(writer, value);
      }
    },
  });
}

export const stringField = defineSingular(scalars.string);
export const bytesField = defineSingular(scalars.bytes);
export const int32Field = defineSingular(scalars.int32);
export const int64Field = defineSingular(scalars.int64);
export const floatField = defineSingular(scalars.float);
export const stringList = defineRepeated(scalars.string);
export const bytesList = defineRepeated(scalars.bytes);
export const int64List = defineRepeated(scalars.int64);

/** `of` is called for each value, so that messages can contain one another. */
export function messageField<T>(id: number, of: () => MessageCodec<T>): Field<T> {
  return {
    id,
    read(reader, wireType, previous, limits) {
      return wireType === lengthDelimited ? readNested(reader, of(), previous, limits) : undefined;
    },
    write(writer, value) {
      writer.uint32((id << 3) | lengthDelimited).fork();
      of().write(writer, value);
      writer.ldelim();
    },
  };
}

export function messageList<T>(id: number, of: () => MessageCodec<T>): Field<T[]> {
  const item = messageField(id, of);
  return {
    id,
    read(reader, wireType, previous = [], limits) {
      const value = item.read(reader, wireType, undefined, limits);
      if (value === undefined) return undefined;
      previous.push(value);
      return previous;
    },
    write(writer, values) {
      for (const value of values) item.write(writer, value);
    },
  };
}

function readNested<T>(reader: Reader, message: MessageCodec<T>, previous: T | undefined, limits: Limits): T {
  spend(limits, 1);
  limits.depth += 1;
  if (limits.depth > maxDepth) {
    throw new RangeError(`messages nested more than ${maxDepth} deep`);
  }
  const value = message.read(reader, lengthEnd(reader), previous, limits);
  limits.depth -= 1;
  return value;
}

export function defineMessage<T extends UnknownFields>(fields: Fields<T>): MessageCodec<T> {
  const table: readonly (readonly [string, Field<unknown>])[] = Object.entries<Field<unknown>>(fields).sort(
    ([, a], [, b]) => a.id - b.id,
  );
  const byId = new Map(table.map(([key, field]) => [field.id, { key, field }]));
  return {
    read(reader, end, previous, limits) {
      let unknownFields: Uint8Array[] | undefined;
      const values: Record<string, unknown> = { ...previous };
      const outerEnd = limits.end;
      limits.end = end;
      while (reader.pos < end) {
        const start = reader.pos;
        const tag = reader.tag();
        const wireType = tag & 7;
        const entry = byId.get(tag >>> 3);
        const value = entry?.field.read(reader, wireType, values[entry.key], limits);
        if (entry === undefined || value === undefined) {
          spend(limits, 1);
          reader.skipType(wireType, 0, tag >>> 3);
          unknownFields ??= [...(previous?.unknownFields ?? [])];
          unknownFields.push(reader.raw(start, reader.pos));
        } else {
          values[entry.key] = value;
        }
      }
      limits.end = outerEnd;
      if (reader.pos !== end) throw new RangeError('a field runs past the end of its message');
      // The table has a field of the right type for every key of T, and only these keys and unknownFields are set.
      return (unknownFields === undefined ? values : { ...values, unknownFields }) as T;
    },
    write(writer, value) {
      const values = value as Readonly<Record<string, unknown>>;
      for (const [key, field] of table) {
        const present = values[key];
        if (present !== undefined) field.write(writer, present);
      }
      for (const bytes of value.unknownFields ?? []) writer.raw(bytes);
    },
  };
}

/**
 * @param what Names the message in the error.
 * @throws EdgewiseError `invalid_request` if the bytes are not such a message.
 */
export function decodeProtobuf<T>(type: MessageCodec<T>, bytes: Uint8Array, what: string): T {
  // Views of a Buffer would be Buffers.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const end = plain.byteLength;
    return type.read(new Reader(plain), end, undefined, { depth: 0, elements: maxElements, end });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EdgewiseError(
      'invalid_request',
      `${what} of ${bytes.byteLength} bytes cannot be parsed: ${reason}`,
      {
        cause: error,
      },
    );
  }
}

export function encodeProtobuf<T>(type: MessageCodec<T>, value: T): Bytes {
  const writer = new Writer();
  type.write(writer, value);
  return new Uint8Array(writer.finish());
}
