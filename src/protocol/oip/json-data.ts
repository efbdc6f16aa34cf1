/** Converts the `data` member of a tensor, nested or flat JSON, into a typed array, in one pass of plain loops. */
import { EdgewiseError } from '../../errors.ts';
import { zeroTensor } from '../../tensor/allocate.ts';
import type { DataType, FixedDataType } from '../../tensor/datatype.ts';
import type { Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { invalid } from './fail.ts';
import { fillExactIntegers, fillIntegers, fillSafeIntegers } from './json-integers.ts';
import { leafRows, type Rows, wrongElement } from './json-rows.ts';

export interface JsonDataOptions {
  /** Returns the same `data` member with long integers as strings (`exact-integers.ts`); called only if there is one. */
  readonly exactData: () => unknown;
}

/** Smallest magnitude that rounds to an infinite FP32: the largest finite FP32 plus half a step. */
const fp32Limit = 3.4028235677973366e38;

/** ProtoJSON's names for numbers that JSON cannot represent (docs/decisions/0003). */
const specialFloats: ReadonlyMap<unknown, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

/**
 * @throws EdgewiseError `shape_mismatch` if count or nesting does not match the shape; `invalid_request` if an element does
 * not match the datatype or is outside its range; `unsupported_datatype` for FP16, which has no JSON form.
 */
export function tensorFromJson(
  what: string,
  datatype: DataType,
  shape: Shape,
  data: unknown,
  options: JsonDataOptions,
): Tensor {
  if (datatype === 'FP16') {
    throw new EdgewiseError(
      'unsupported_datatype',
      `${what} is FP16, which has no JSON form; send it in binary`,
    );
  }
  const rows = leafRows(what, shape, data);
  if (datatype === 'BYTES') return { datatype, shape, data: textsFromRows(what, rows) };
  return fixedFromRows(what, datatype, shape, rows, options);
}

function fixedFromRows(
  what: string,
  datatype: Exclude<FixedDataType, 'FP16'>,
  shape: Shape,
  rows: Rows,
  options: JsonDataOptions,
): Tensor {
  const tensor = zeroTensor(datatype, shape);
  switch (tensor.datatype) {
    case 'FP32':
      fillFloats(what, tensor.datatype, tensor.data, rows, fp32Limit);
      break;
    case 'FP64':
      fillFloats(what, tensor.datatype, tensor.data, rows, Number.POSITIVE_INFINITY);
      break;
    case 'BOOL':
      fillBooleans(what, tensor.data, rows);
      break;
    case 'INT64':
    case 'UINT64':
      if (!fillSafeIntegers(what, tensor.datatype, tensor.data, rows)) {
        const exactRows = leafRows(what, shape, options.exactData());
        fillExactIntegers(what, tensor.datatype, tensor.data, exactRows);
      }
      break;
    case 'FP16':
      throw new EdgewiseError('unsupported_datatype', `${what} is FP16, which has no JSON form`);
    default:
      fillIntegers(what, tensor.datatype, tensor.data, rows);
  }
  return tensor;
}

function fillFloats(
  what: string,
  datatype: 'FP32' | 'FP64',
  out: Float32Array | Float64Array,
  rows: Rows,
  limit: number,
): void {
  let at = 0;
  for (const row of rows) {
    for (let index = 0; index < row.length; index++) {
      const value = row[index];
      out[at++] =
        typeof value === 'number' && value < limit && value > -limit
          ? value
          : specialFloat(what, datatype, value, at - 1);
    }
  }
}

function specialFloat(what: string, datatype: DataType, value: unknown, at: number): number {
  const special = specialFloats.get(value);
  if (special !== undefined) return special;
  if (typeof value === 'number') {
    throw invalid(`element ${at} of ${what} is ${value}, which is outside the range of ${datatype}`);
  }
  const hint = value === null ? ' (write NaN, which some encoders turn into null, as "NaN")' : '';
  throw wrongElement(what, datatype, value, at, `a number, "NaN", "Infinity" or "-Infinity"${hint}`);
}

function fillBooleans(what: string, out: Uint8Array, rows: Rows): void {
  let at = 0;
  for (const row of rows) {
    for (let index = 0; index < row.length; index++) {
      const value = row[index];
      if (typeof value !== 'boolean') throw wrongElement(what, 'BOOL', value, at, 'true or false');
      out[at++] = value ? 1 : 0;
    }
  }
}

function textsFromRows(what: string, rows: Rows): readonly string[] {
  const list = rows.length === 1 ? (rows[0] ?? []) : rows.flat();
  if (isTextList(list)) return list;
  const bad = list.findIndex((value) => !isTextList([value]));
  if (typeof list[bad] === 'string') {
    throw invalid(`element ${bad} of ${what} has half of a surrogate pair, so it is not UTF-8 text`);
  }
  throw wrongElement(what, 'BYTES', list[bad], bad, 'a string');
}

function isTextList(list: readonly unknown[]): list is readonly string[] {
  for (let index = 0; index < list.length; index++) {
    const value = list[index];
    if (typeof value !== 'string' || !value.isWellFormed()) return false;
  }
  return true;
}
