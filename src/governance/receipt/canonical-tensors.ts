/**
 * `edgewise.tensors.v1`: the canonical bytes of named tensors, whatever their form on the wire. All numbers are
 * little-endian:
 *
 *     u32 number of tensors; then for each, ordered by the code points of their names:
 *       u32 length ‖ name in UTF-8
 *       u32 length ‖ datatype in ASCII, as the Open Inference Protocol names it
 *       u32 rank ‖ the dimensions, each u64
 *       u64 length of the data ‖ the data, or its SHA-256 if it is longer than 65,536 bytes
 *
 * The data is row-major without padding. An element of BYTES is its u32 length and its UTF-8; an element of BOOL is 0 or 1.
 * Every NaN is the quiet NaN without sign or payload (FP32 0x7fc00000), because JSON has only one: answers that differ only
 * in the payload of a NaN are equal, also for a re-run.
 *
 * Long data is replaced by its digest to avoid copying it: Web Crypto hashes a single buffer only.
 */
import type { Bytes } from '../../bytes.ts';
import { blockSize, writeBlock } from '../../protocol/oip/binary-data.ts';
import { tensorBytes } from '../../tensor/bytes.ts';
import type { FixedTensor, NamedTensors, Tensor } from '../../tensor/tensor.ts';
import { byCodePoints } from './code-points.ts';
import { withoutNanPayloads } from './nan.ts';

/** Longer data is replaced by its digest. */
export const maxInlineBytes = 65_536;

const digestBytes = 32;
const encoder = new TextEncoder();
/** UTF-8 takes at most three bytes for a UTF-16 unit. */
const maxUtf8PerUnit = 3;

/**
 * Returns `prefix` followed by the canonical bytes of `tensors`; a promise only if some data is long enough to be hashed.
 *
 * @param scratch Used for the result if it fits and no data is hashed; the result is then a view of it, valid until the
 * next use. Otherwise the result has memory of its own.
 */
export function canonicalTensors(
  tensors: NamedTensors,
  prefix: Uint8Array,
  scratch?: Bytes,
): Bytes | Promise<Bytes> {
  const entries = [...tensors];
  if (entries.length > 1) entries.sort(([one], [other]) => byCodePoints(one, other));
  const parts = entries.map(([name, tensor]) => partOf(name, tensor));
  if (!parts.some(({ long }) => long !== undefined)) return writeForm(parts, prefix, [], scratch);
  return hashLongData(parts).then((digests) => writeForm(parts, prefix, digests));
}

interface Part {
  readonly name: string;
  readonly tensor: Tensor;
  readonly byteLength: number;
  /** The data, if it is to be hashed. */
  readonly long: Uint8Array | undefined;
}

function partOf(name: string, original: Tensor): Part {
  const tensor = original.datatype === 'BYTES' ? original : canonicalNumbers(original);
  const byteLength = blockSize(tensor);
  return {
    name,
    tensor,
    byteLength,
    long: byteLength > maxInlineBytes ? dataOf(tensor, byteLength) : undefined,
  };
}

function dataOf(tensor: Tensor, byteLength: number): Uint8Array {
  if (tensor.datatype !== 'BYTES') return tensorBytes(tensor);
  const block = new Uint8Array(byteLength);
  writeBlock(tensor, block);
  return block;
}

function canonicalNumbers(tensor: FixedTensor): FixedTensor {
  switch (tensor.datatype) {
    case 'BOOL':
      // Kernels write 0 and 1. Any other value of true would be 1 in JSON.
      return tensor.data.some((value) => value > 1)
        ? { ...tensor, data: tensor.data.map((value) => (value === 0 ? 0 : 1)) }
        : tensor;
    case 'FP16':
    case 'FP32':
    case 'FP64':
      return withoutNanPayloads(tensor);
    default:
      return tensor;
  }
}

/** Returns the digests in the order of the parts; undefined for data that is not hashed. */
function hashLongData(parts: readonly Part[]): Promise<readonly (Uint8Array | undefined)[]> {
  return Promise.all(
    parts.map(async ({ long }) =>
      long === undefined ? undefined : new Uint8Array(await crypto.subtle.digest('SHA-256', ownBytes(long))),
    ),
  );
}

/** Copies bytes in shared memory, which Web Crypto does not accept. No tensor has any today. */
function ownBytes(bytes: Uint8Array): Bytes {
  const { buffer, byteOffset, byteLength } = bytes;
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer, byteOffset, byteLength)
    : new Uint8Array(bytes);
}

function writeForm(
  parts: readonly Part[],
  prefix: Uint8Array,
  digests: readonly (Uint8Array | undefined)[],
  scratch?: Bytes,
): Bytes {
  const limit = sizeLimit(parts, prefix);
  const target = scratch !== undefined && limit <= scratch.length ? scratch : new Uint8Array(limit);
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  target.set(prefix);
  let at = prefix.length;
  view.setUint32(at, parts.length, true);
  at += 4;
  for (const [index, { name, tensor, byteLength, long }] of parts.entries()) {
    at = writeText(name, target, view, at);
    at = writeText(tensor.datatype, target, view, at);
    view.setUint32(at, tensor.shape.length, true);
    at += 4;
    for (const dimension of tensor.shape) at = writeUint64(dimension, view, at);
    at = writeUint64(byteLength, view, at);
    if (long === undefined) {
      writeBlock(tensor, target.subarray(at, at + byteLength));
      at += byteLength;
    } else {
      target.set(digests[index] ?? [], at);
      at += digestBytes;
    }
  }
  return target.subarray(0, at);
}

/** Returns an upper bound of the size: each name is counted as if it had only the widest characters. */
function sizeLimit(parts: readonly Part[], prefix: Uint8Array): number {
  let size = prefix.length + 4;
  for (const { name, tensor, byteLength, long } of parts) {
    size += 4 + maxUtf8PerUnit * name.length + 4 + tensor.datatype.length;
    size += 4 + 8 * tensor.shape.length + 8 + (long === undefined ? byteLength : digestBytes);
  }
  return size;
}

function writeText(text: string, target: Uint8Array, view: DataView, at: number): number {
  const length = writeAscii(text, target, at + 4)
    ? text.length
    : encoder.encodeInto(text, target.subarray(at + 4)).written;
  view.setUint32(at, length, true);
  return at + 4 + length;
}

/** Writes `text` if it is ASCII, and reports whether it is. Names mostly are, and this is faster than calling the encoder. */
function writeAscii(text: string, target: Uint8Array, at: number): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code >= 0x80) return false;
    target[at + index] = code;
  }
  return true;
}

/** Writes a safe integer without using a BigInt. */
function writeUint64(value: number, view: DataView, at: number): number {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
  return at + 8;
}
