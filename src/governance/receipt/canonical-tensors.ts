/**
 * `edgewise.tensors.v1`: the bytes that a set of named tensors is, however it was written on the wire. All numbers are
 * little-endian:
 *
 *     u32 how many tensors there are; then of each, in the order of the code points of their names:
 *       u32 length ‖ name in UTF-8
 *       u32 length ‖ datatype in ASCII, as the Open Inference Protocol names it
 *       u32 rank ‖ as many u64 dimensions
 *       u64 length of the data ‖ the data; where that is longer than 65,536 bytes, its SHA-256 in its place
 *
 * The data is row-major without padding. An element of BYTES is its u32 length and its UTF-8; one of BOOL is 0 or 1. Every
 * NaN is the quiet one without sign or payload (FP32 0x7fc00000), since JSON has but one: two answers that differ in the
 * payload of a NaN alone are the same answer, also to a re-run.
 *
 * Long data stands as its digest so that nothing long is copied: WebCrypto computes a digest of one buffer only.
 */
import type { Bytes } from '../../bytes.ts';
import { blockSize, writeBlock } from '../../protocol/oip/binary-data.ts';
import { tensorBytes } from '../../tensor/bytes.ts';
import type { FixedTensor, NamedTensors, Tensor } from '../../tensor/tensor.ts';
import { byCodePoints } from './code-points.ts';
import { withoutNanPayloads } from './nan.ts';

/** Data up to this length stands in the form itself. */
export const maxInlineBytes = 65_536;

const digestBytes = 32;
const encoder = new TextEncoder();
/** UTF-8 takes at most three bytes for a UTF-16 unit. */
const maxUtf8PerUnit = 3;

/**
 * The canonical bytes of `tensors` after those of `prefix`; a promise only where something is long enough to be hashed.
 *
 * @param scratch Where they are written if they fit and are there at once: the answer is a view of it, good until it is
 * used again. Elsewhere they have memory of their own.
 */
export function canonicalTensors(
  tensors: NamedTensors,
  prefix: Uint8Array,
  scratch?: Bytes,
): Bytes | Promise<Bytes> {
  const entries = [...tensors];
  if (entries.length > 1) entries.sort(([one], [other]) => byCodePoints(one, other));
  const parts = entries.map(([name, tensor]) => partOf(name, tensor));
  if (!parts.some(({ long }) => long !== undefined)) return written(parts, prefix, [], scratch);
  return hashed(parts).then((digests) => written(parts, prefix, digests));
}

interface Part {
  readonly name: string;
  readonly tensor: Tensor;
  readonly byteLength: number;
  /** The data where it is to be hashed. */
  readonly long: Uint8Array | undefined;
}

function partOf(name: string, given: Tensor): Part {
  const tensor = given.datatype === 'BYTES' ? given : canonicalNumbers(given);
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
      // Kernels write 0 and 1; should one ever write another true, JSON could not tell it from 1.
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

/** In the order of the parts; undefined for those that stand as they are. */
function hashed(parts: readonly Part[]): Promise<readonly (Uint8Array | undefined)[]> {
  return Promise.all(
    parts.map(async ({ long }) =>
      long === undefined ? undefined : new Uint8Array(await crypto.subtle.digest('SHA-256', ownBytes(long))),
    ),
  );
}

/** Memory that several threads share is no source of bytes for WebCrypto; nothing here ever has any. */
function ownBytes(bytes: Uint8Array): Bytes {
  const { buffer, byteOffset, byteLength } = bytes;
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer, byteOffset, byteLength)
    : new Uint8Array(bytes);
}

function written(
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

/** At least what is written: names are counted as if they were all of the widest characters. */
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

/** Whether `text` is ASCII, and then written: for names, which mostly are, quicker than a call of the encoder. */
function writeAscii(text: string, target: Uint8Array, at: number): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code >= 0x80) return false;
    target[at + index] = code;
  }
  return true;
}

/** Without a BigInt: what is counted here is a safe integer. */
function writeUint64(value: number, view: DataView, at: number): number {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
  return at + 8;
}
