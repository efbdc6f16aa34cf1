/** The packed numbers of a TensorProto as typed arrays. */
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
  /** The numbers from the reader's position to `end`. */
  readRun(reader: Reader, end: number): A;
  writeRun(writer: Writer, values: A): void;
}

/** A tensor's typed data: one array whether it came packed (as ONNX declares it), unpacked or in several runs. */
function packed<A extends NumericArray>(codec: PackedCodec<A>): (id: number) => Field<A> {
  return (id) => ({
    id,
    read(reader, wireType, previous, limits) {
      if (wireType !== lengthDelimited && wireType !== codec.elementWireType) {
        return undefined;
      }
      const run = codec.readRun(
        reader,
        wireType === lengthDelimited ? lengthEnd(reader) : scalarEnd(reader, wireType),
      );
      if (previous === undefined) {
        return run;
      }
      // Joining run after run is quadratic, so what is copied counts as elements.
      spend(limits, previous.length);
      const joined = codec.create(previous.length + run.length);
      const joinedBytes = bytesOf(joined);
      joinedBytes.set(bytesOf(previous));
      joinedBytes.set(bytesOf(run), previous.byteLength);
      return joined;
    },
    write(writer, values) {
      if (values.length > 0) {
        writer.uint32((id << 3) | lengthDelimited).fork();
        codec.writeRun(writer, values);
        writer.ldelim();
      }
    },
  });
}

function scalarEnd(reader: Reader, wireType: number): number {
  const start = reader.pos;
  const end = reader.skipType(wireType).pos;
  reader.pos = start;
  return end;
}

function bytesOf(values: NumericArray): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function packedFixed<A extends Float32Array | Float64Array>(
  elementWireType: number,
  elementBytes: number,
  create: (buffer: ArrayBufferLike, byteOffset: number, length: number) => A,
): (id: number) => Field<A> {
  return packed<A>({
    elementWireType,
    create: (length) => create(new ArrayBuffer(length * elementBytes), 0, length),
    readRun(reader, end) {
      const bytes = reader.raw(reader.pos, end);
      if (bytes.byteLength % elementBytes !== 0) {
        throw new RangeError(`packed numbers of ${elementBytes} bytes each take ${bytes.byteLength} bytes`);
      }
      reader.pos = end;
      const aligned = bytes.byteOffset % elementBytes === 0 ? bytes : bytes.slice();
      return create(aligned.buffer, aligned.byteOffset, aligned.byteLength / elementBytes);
    },
    writeRun: (writer, values) => void writer.raw(bytesOf(values)),
  });
}

function packedVarint<A extends Int32Array | BigInt64Array | BigUint64Array>(codec: {
  create(length: number): A;
  fill(target: A, reader: Reader): void;
  writeRun(writer: Writer, values: A): void;
}): (id: number) => Field<A> {
  return packed<A>({
    ...codec,
    elementWireType: varint,
    readRun(reader, end) {
      let count = 0;
      for (const byte of reader.raw(reader.pos, end)) {
        count += byte < 0x80 ? 1 : 0;
      }
      const target = codec.create(count);
      codec.fill(target, reader);
      if (reader.pos !== end) {
        throw new RangeError('packed numbers end in the middle of one');
      }
      return target;
    },
  });
}

function writeBigInts(writer: Writer, values: BigInt64Array | BigUint64Array): void {
  for (const value of values) {
    writeBigInt(writer, value);
  }
}

export const floatData = packedFixed(
  fixed32,
  4,
  (buffer, offset, length) => new Float32Array(buffer, offset, length),
);
export const doubleData = packedFixed(
  fixed64,
  8,
  (buffer, offset, length) => new Float64Array(buffer, offset, length),
);
export const int32Data = packedVarint<Int32Array>({
  create: (length) => new Int32Array(length),
  fill(target, reader) {
    for (let index = 0; index < target.length; index += 1) {
      target[index] = reader.int32();
    }
  },
  writeRun(writer, values) {
    for (const value of values) {
      writer.int32(value);
    }
  },
});
export const int64Data = packedVarint<BigInt64Array>({
  create: (length) => new BigInt64Array(length),
  fill(target, reader) {
    for (let index = 0; index < target.length; index += 1) {
      target[index] = bigInt(reader.int64());
    }
  },
  writeRun: writeBigInts,
});
export const uint64Data = packedVarint<BigUint64Array>({
  create: (length) => new BigUint64Array(length),
  fill(target, reader) {
    for (let index = 0; index < target.length; index += 1) {
      target[index] = bigInt(reader.int64());
    }
  },
  writeRun: writeBigInts,
});
