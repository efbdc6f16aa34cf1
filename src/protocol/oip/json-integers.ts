/** Converts whole numbers from JSON: range-checked, and exact to the last digit for the 64-bit types. */
import { invalid } from './fail.ts';
import { type Rows, wrongElement } from './json-rows.ts';

const integerRanges = {
  UINT8: [0, 2 ** 8 - 1],
  UINT16: [0, 2 ** 16 - 1],
  UINT32: [0, 2 ** 32 - 1],
  INT8: [-(2 ** 7), 2 ** 7 - 1],
  INT16: [-(2 ** 15), 2 ** 15 - 1],
  INT32: [-(2 ** 31), 2 ** 31 - 1],
} as const;

export function fillIntegers(
  what: string,
  datatype: keyof typeof integerRanges,
  out: { set(values: readonly number[], at: number): void },
  rows: Rows,
): void {
  const [min, max] = integerRanges[datatype];
  let at = 0;
  for (const row of rows) {
    // One check and one native copy per row: storing single elements into six array classes would be slower.
    if (!isIntegerRow(row, min, max)) {
      const bad = row.findIndex((value) => !isIntegerRow([value], min, max));
      throw wrongElement(what, datatype, row[bad], at + bad, `a whole number from ${min} to ${max}`);
    }
    out.set(row, at);
    at += row.length;
  }
}

function isIntegerRow(row: readonly unknown[], min: number, max: number): row is readonly number[] {
  for (let index = 0; index < row.length; index++) {
    const value = row[index];
    if (typeof value !== 'number' || !(value >= min && value <= max) || !Number.isInteger(value))
      return false;
  }
  return true;
}

/** Fills `out`. Returns false if an element is beyond 2^53, where JSON.parse has rounded: only its kind is checked then. */
export function fillSafeIntegers(
  what: string,
  datatype: 'INT64' | 'UINT64',
  out: BigInt64Array | BigUint64Array,
  rows: Rows,
): boolean {
  let at = 0;
  let exact = true;
  for (const row of rows) {
    for (let index = 0; index < row.length; index++) {
      const value = row[index];
      if (typeof value !== 'number' || !Number.isInteger(value) || (datatype === 'UINT64' && value < 0)) {
        throw wrongElement(what, datatype, value, at, 'a whole number in its range');
      }
      if (Number.isSafeInteger(value)) out[at] = BigInt(value);
      else exact = false;
      at++;
    }
  }
  return exact;
}

/** Fills `out` from whole numbers; those beyond 2^53 are strings of digits, unless the text wrote them with a fraction or exponent. */
export function fillExactIntegers(
  what: string,
  datatype: 'INT64' | 'UINT64',
  out: BigInt64Array | BigUint64Array,
  rows: Rows,
): void {
  const signed = datatype === 'INT64';
  const min = signed ? -(2n ** 63n) : 0n;
  const max = signed ? 2n ** 63n - 1n : 2n ** 64n - 1n;
  let at = 0;
  for (const row of rows) {
    for (const value of row) {
      const integer = exactInteger(value);
      if (integer === undefined || integer < min || integer > max) {
        throw invalid(
          `element ${at} of ${what} is not a ${datatype}; expected a whole number from ${min} to ${max} with all its digits`,
        );
      }
      out[at++] = integer;
    }
  }
}

function exactInteger(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  // At most 309 digits: more would have been infinite when the kind was checked.
  return typeof value === 'string' ? BigInt(value) : undefined;
}
