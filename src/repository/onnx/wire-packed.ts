/** Fields that hold lists of numbers as typed arrays: the data of a TensorProto, the numbers of an AttributeProto. */
import type { Reader, Writer } from 'protobufjs/minimal.js';
import {
  bigInt,
  type Field,
  fixed32,
  fixed64,
  lengthDelimited,
  lengthEnd,
  spend,
  varint,
  writeBigInt,
} from './wire.ts';

type NumericArray = Float32Array | Float64Array | Int32Array | BigInt64Array | BigUint64Array;

interface PackedCodec<A extends NumericArray> {
  readonly elementWireType: number;
  create(length: number): A;
  /** Reads packed numbers, from the reader's position to `end`. */
  readRun(reader: Reader, end: number): A;
  /** Fills `target` with unpacked numbers, each a field with its own tag, from the reader's position on. */
  fillUnpacked(target: A, reader: Reader): void;
  writeRun(writer: Writer, values: A): void;
}

/** Returns a function that reads numbers into one array, whether they are packed, unpacked or in several runs. */
function readNumbers<A extends NumericArray>(id: number, codec: PackedCodec<A>): Field<A>['read'] {
  return (reader, wireType, previous, limits) => {
    if (wireType !== lengthDelimited && wireType !== codec.elementWireType) return undefined;
    const run =
      wireType === lengthDelimited
        ? codec.readRun(reader, lengthEnd(reader))
        : readUnpacked(id, codec, reader, limits.end);
    if (previous === undefined) return run;
    // Joining run after run is quadratic, so copied numbers count as elements.
    spend(limits, previous.length);
    const joined = codec.create(previous.length + run.length);
    const joinedBytes = bytesOf(joined);
    joinedBytes.set(bytesOf(previous));
    joinedBytes.set(bytesOf(run), previous.byteLength);
    return joined;
  };
}

/** Counts, then reads, the numbers of a run of fields with the same tag. The first tag has been read already. */
function readUnpacked<A extends NumericArray>(
  id: number,
  codec: PackedCodec<A>,
  reader: Reader,
  messageEnd: number,
): A {
  const tag = (id << 3) | codec.elementWireType;
  const start = reader.pos;
  let count = 0;
  for (let end = start; ; count += 1) {
    reader.pos = end;
    if (count > 0 && (reader.pos >= messageEnd || reader.uint32() !== tag)) break;
    end = reader.skipType(codec.elementWireType).pos;
  }
  reader.pos = start;
  const values = codec.create(count);
  codec.fillUnpacked(values, reader);
  return values;
}

/** Defines a field for a tensor's typed data, which ONNX declares as packed. */
function definePacked<A extends NumericArray>(codec: PackedCodec<A>): (id: number) => Field<A> {
  return (id) => ({
    id,
    read: readNumbers(id, codec),
    write(writer, values) {
      if (values.length > 0) {
        writer.uint32((id << 3) | lengthDelimited).fork();
        codec.writeRun(writer, values);
        writer.ldelim();
      }
    },
  });
}

/** Defines a field for the numbers of an attribute, which ONNX declares as unpacked. They are written with one buffer. */
function defineUnpacked<A extends NumericArray, V extends number | bigint>(
  codec: PackedCodec<A>,
  encoding: {
    readonly maxBytes: number;
    /** Writes one number at `at`. Returns the position after it. */
    write(target: DataView<ArrayBuffer>, at: number, value: V): number;
  },
): (id: number) => Field<ArrayLike<V> & Iterable<V>> {
  return (id) => {
    const tag = (id << 3) | codec.elementWireType;
    const read = readNumbers(id, codec);
    return {
      id,
      // The codec's typed arrays hold exactly such values.
      read: read as unknown as Field<ArrayLike<V> & Iterable<V>>['read'],
      write(writer, values) {
        const target = new DataView(new ArrayBuffer(values.length * (1 + encoding.maxBytes)));
        let end = 0;
        for (const value of values) {
          target.setUint8(end, tag);
          end = encoding.write(target, end + 1, value);
        }
        writer.raw(new Uint8Array(target.buffer, 0, end));
      },
    };
  };
}

function bytesOf(values: NumericArray): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function packedFixed<A extends Float32Array | Float64Array>(
  elementWireType: number,
  elementBytes: number,
  create: (buffer: ArrayBufferLike, byteOffset: number, length: number) => A,
  readOne: (reader: Reader) => number,
): PackedCodec<A> {
  return {
    elementWireType,
    create: (length) => create(new ArrayBuffer(length * elementBytes), 0, length),
    readRun(reader, end) {
      const bytes = reader.raw(reader.pos, end);
      if (bytes.byteLength % elementBytes !== 0) {
        throw new RangeError(`packed numbers of ${elementBytes} bytes each have ${bytes.byteLength} bytes`);
      }
      reader.pos = end;
      const aligned = bytes.byteOffset % elementBytes === 0 ? bytes : bytes.slice();
      return create(aligned.buffer, aligned.byteOffset, aligned.byteLength / elementBytes);
    },
    fillUnpacked(target, reader) {
      for (let index = 0; index < target.length; index += 1) {
        if (index > 0) reader.uint32();
        target[index] = readOne(reader);
      }
    },
    writeRun: (writer, values) => void writer.raw(bytesOf(values)),
  };
}

function packedVarint<A extends Int32Array | BigInt64Array | BigUint64Array>(codec: {
  create(length: number): A;
  /** `next` is called before each number is read. */
  fill(target: A, reader: Reader, next: (index: number) => void): void;
  writeRun(writer: Writer, values: A): void;
}): PackedCodec<A> {
  return {
    ...codec,
    elementWireType: varint,
    readRun(reader, end) {
      let count = 0;
      for (const byte of reader.raw(reader.pos, end)) count += byte < 0x80 ? 1 : 0;
      const target = codec.create(count);
      codec.fill(target, reader, () => {});
      if (reader.pos !== end) throw new RangeError('packed numbers end in the middle of a number');
      return target;
    },
    fillUnpacked(target, reader) {
      codec.fill(target, reader, (index) => {
        if (index > 0) reader.uint32();
      });
    },
  };
}

function writeBigInts(writer: Writer, values: BigInt64Array | BigUint64Array): void {
  for (const value of values) writeBigInt(writer, value);
}

const floats = packedFixed(
  fixed32,
  4,
  (buffer, offset, length) => new Float32Array(buffer, offset, length),
  (reader) => reader.float(),
);
export const floatData = definePacked(floats);
export const doubleData = definePacked(
  packedFixed(
    fixed64,
    8,
    (buffer, offset, length) => new Float64Array(buffer, offset, length),
    (reader) => reader.double(),
  ),
);
export const int32Data = definePacked(
  packedVarint<Int32Array>({
    create: (length) => new Int32Array(length),
    fill(target, reader, next) {
      for (let index = 0; index < target.length; index += 1) {
        next(index);
        target[index] = reader.int32();
      }
    },
    writeRun(writer, values) {
      for (const value of values) writer.int32(value);
    },
  }),
);

function fillBigInts(
  target: BigInt64Array | BigUint64Array,
  reader: Reader,
  next: (index: number) => void,
): void {
  for (let index = 0; index < target.length; index += 1) {
    next(index);
    target[index] = bigInt(reader.int64());
  }
}

const int64s = packedVarint<BigInt64Array>({
  create: (length) => new BigInt64Array(length),
  fill: fillBigInts,
  writeRun: writeBigInts,
});
export const int64Data = definePacked(int64s);
export const uint64Data = definePacked(
  packedVarint<BigUint64Array>({
    create: (length) => new BigUint64Array(length),
    fill: fillBigInts,
    writeRun: writeBigInts,
  }),
);

export const floatNumbers = defineUnpacked<Float32Array, number>(floats, {
  maxBytes: 4,
  write(target, at, value) {
    target.setFloat32(at, value, true);
    return at + 4;
  },
});

export const int64Numbers = defineUnpacked<BigInt64Array, bigint>(int64s, {
  maxBytes: 10,
  write(target, at, value) {
    let end = at;
    if (value >= 0n && value < 2n ** 31n) {
      let rest = Number(value);
      for (; rest > 0x7f; rest >>>= 7) target.setUint8(end++, (rest & 0x7f) | 0x80);
      target.setUint8(end++, rest);
      return end;
    }
    let rest = BigInt.asUintN(64, value);
    for (; rest > 0x7fn; rest >>= 7n) target.setUint8(end++, Number(rest & 0x7fn) | 0x80);
    target.setUint8(end++, Number(rest));
    return end;
  },
});
