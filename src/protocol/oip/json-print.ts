/** Prints tensors as the `data` member of JSON: flat, exact, and directly into bytes if that is faster. */
import { EdgewiseError } from '../../errors.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { ByteWriter } from './byte-writer.ts';
import { maxNumberBytes, writeFloat32, writeInteger } from './decimal-writer.ts';

const comma = 0x2c;
const zero = 0x30;
/** Not `-0`: readers that distinguish whole numbers, such as Python's, would read it as the integer 0 and lose the sign. */
const negativeZero = '-0.0';
/** Elements printed per reservation of buffer space: the text of a whole tensor never exists at once. */
const runLength = 8192;
/** Most UTF-16 code units of strings that are printed at once. */
const maxPrintedLength = 2 ** 16;
const leastNormalFp32 = 2 ** -126;

const encoder = new TextEncoder();

/** Returns an upper bound of the bytes that `writeJsonData` writes; an estimate for strings. */
export function jsonDataSize(tensor: Tensor): number {
  return 2 + tensor.data.length * (maxNumberBytes + 1);
}

/**
 * Appends `tensor`'s elements as a JSON array.
 *
 * @throws EdgewiseError `unsupported_datatype` for FP16, which has no JSON form.
 */
export function writeJsonData(writer: ByteWriter, what: string, tensor: Tensor): void {
  switch (tensor.datatype) {
    case 'BYTES':
      writeStrings(writer, tensor.data);
      return;
    case 'FP16':
      throw new EdgewiseError(
        'unsupported_datatype',
        `${what} is FP16, which has no JSON form; ask for it in binary`,
      );
    case 'FP64':
      writeRuns(writer, tensor.data, fp64Text);
      return;
    case 'INT64':
    case 'UINT64':
      writeRuns(writer, tensor.data, (run) => run.join(','));
      return;
    case 'BOOL':
      writeRuns(writer, tensor.data, (run) => Array.from(run, (value) => value !== 0).join(','));
      return;
    case 'FP32':
      writer.text('[');
      writeFp32(writer, tensor.data);
      writer.text(']');
      return;
    default:
      writer.text('[');
      writeIntegers(writer, tensor.data);
      writer.text(']');
  }
}

/** Writes `data` in runs. `print` returns the elements of a run, separated by commas. */
function writeRuns<T extends { readonly length: number; subarray(start: number, end: number): T }>(
  writer: ByteWriter,
  data: T,
  print: (run: T) => string,
): void {
  writer.text('[');
  for (let start = 0; start < data.length; start += runLength) {
    if (start > 0) writer.text(',');
    writer.text(print(data.subarray(start, start + runLength)));
  }
  writer.text(']');
}

function writeStrings(writer: ByteWriter, data: readonly string[]): void {
  writer.text('[');
  let start = 0;
  while (start < data.length) {
    let end = start;
    let length = 0;
    while (end < data.length && end < start + runLength && length <= maxPrintedLength) {
      length += data[end++]?.length ?? 0;
    }
    // The last string may be long: it is then written on its own, in pieces.
    if (length > maxPrintedLength && end > start + 1) end--;
    if (start > 0) writer.text(',');
    const first = data[start] ?? '';
    if (first.length > maxPrintedLength) writeLongString(writer, first);
    else writer.text(JSON.stringify(data.slice(start, end)).slice(1, -1));
    start = end;
  }
  writer.text(']');
}

function writeLongString(writer: ByteWriter, text: string): void {
  writer.text('"');
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + maxPrintedLength, text.length);
    // A surrogate pair cut in two would be printed as two escapes.
    if (end < text.length && (text.codePointAt(end - 1) ?? 0) > 0xffff) end--;
    writer.text(JSON.stringify(text.slice(start, end)).slice(1, -1));
    start = end;
  }
  writer.text('"');
}

function writeFp32(writer: ByteWriter, data: Float32Array): void {
  for (let start = 0; start < data.length; start += runLength) {
    const end = Math.min(start + runLength, data.length);
    const target = writer.reserve((end - start) * (maxNumberBytes + 1));
    let at = 0;
    for (let index = start; index < end; index++) {
      const value = data[index] ?? 0;
      if (index > 0) target[at++] = comma;
      // The comparison is also false for NaN.
      if (Math.abs(value) >= leastNormalFp32 && Math.abs(value) < Number.POSITIVE_INFINITY) {
        at = value === (value | 0) ? writeInteger(target, at, value) : writeFloat32(target, at, value);
      } else if (Object.is(value, 0)) {
        target[at++] = zero;
      } else {
        at += encoder.encodeInto(rareFp32(value), target.subarray(at)).written;
      }
    }
    writer.advance(at);
  }
}

/** Formats NaN and infinities as strings (docs/decisions/0003), and subnormal numbers with nine digits, which is exact. */
function rareFp32(value: number): string {
  if (Object.is(value, -0)) return negativeZero;
  return Number.isFinite(value) ? value.toExponential(8) : `"${value}"`;
}

function writeIntegers(
  writer: ByteWriter,
  data: Uint8Array | Uint16Array | Uint32Array | Int8Array | Int16Array | Int32Array,
): void {
  for (let start = 0; start < data.length; start += runLength) {
    const end = Math.min(start + runLength, data.length);
    const target = writer.reserve((end - start) * (maxNumberBytes + 1));
    let at = 0;
    for (let index = start; index < end; index++) {
      if (index > 0) target[at++] = comma;
      at = writeInteger(target, at, data[index] ?? 0);
    }
    writer.advance(at);
  }
}

function fp64Text(data: Float64Array): string {
  const values: number[] = new Array(data.length);
  let plain = true;
  for (let index = 0; index < data.length; index++) {
    const value = data[index] ?? 0;
    values[index] = value;
    if (!Number.isFinite(value) || Object.is(value, -0)) plain = false;
  }
  // JSON.stringify prints the shortest text that parses to the same double, but -0 as 0 and NaN as null.
  return plain ? JSON.stringify(values).slice(1, -1) : values.map(fp64Element).join(',');
}

function fp64Element(value: number): string {
  if (Object.is(value, -0)) return negativeZero;
  return Number.isFinite(value) ? String(value) : `"${value}"`;
}
