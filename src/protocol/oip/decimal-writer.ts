/**
 * Writes FP32 and small integers as decimal digits, directly into bytes.
 *
 * Nine significant digits identify every FP32 exactly (half a unit in the ninth is at most 5e-9 of the value, half an FP32
 * step at least 2.9e-8), so a float is scaled to a nine- or ten-digit integer whose digits are written: several times as
 * fast as String(), which finds the shortest decimal of the widened double, and half as long.
 */

/** Longest number in bytes: `-0.` and 15 decimals. */
export const maxNumberBytes = 18;

const zero = 0x30;
const maxDecimals = 15;

/** By biased FP32 exponent: the number of decimals that scales the value into [1e8, 2.1e9). Negative: zeros to cut off. */
const decimalsOfExponent = Int8Array.from({ length: 256 }, (_, exponent) =>
  Math.ceil(8 - (exponent - 127) * Math.log10(2)),
);
const powersOfTen = Float64Array.from({ length: 48 }, (_, exponent) => Number(`1e${exponent}`));

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** Writes `value`, a normal FP32, into `target` at `at`. Returns the end of what was written, as do all functions here. */
export function writeFloat32(target: Uint8Array, at: number, value: number): number {
  single[0] = value;
  const decimals = decimalsOfExponent[((singleBits[0] ?? 0) >>> 23) & 0xff] ?? 0;
  const power = powersOfTen[Math.abs(decimals)] ?? 1;
  let end = at;
  let scaled = decimals < 0 ? value / power : value * power;
  if (value < 0) {
    target[end++] = 0x2d;
    scaled = -scaled;
  }
  // It is below 2^31, so the digit loops work on 32-bit integers.
  const digits = (scaled + 0.5) | 0;
  if (decimals > maxDecimals || decimals < 0) {
    end = writeDigits(target, end, digits);
    target[end++] = 0x65;
    return writeInteger(target, end, -decimals);
  }
  return writeFixed(target, end, digits, decimals);
}

/** Writes a whole number of at most ten digits. */
export function writeInteger(target: Uint8Array, at: number, value: number): number {
  if (value >= 0) return writeDigits(target, at, value);
  target[at] = 0x2d;
  return writeDigits(target, at + 1, -value);
}

/** Writes `digits` × 10^-`decimals`, without trailing zeros. */
function writeFixed(target: Uint8Array, at: number, digits: number, decimals: number): number {
  let rest = digits;
  let left = decimals;
  while (left >= 3 && rest % 1000 === 0) {
    rest /= 1000;
    left -= 3;
  }
  while (left > 0 && rest % 10 === 0) {
    rest /= 10;
    left--;
  }
  if (left === 0) return writeDigits(target, at, rest);
  const end = at + Math.max(digitCount(rest), left + 1) + 1;
  let place = end - 1;
  for (let written = 0; written < left; written++) {
    const next = (rest / 10) | 0;
    target[place--] = zero + rest - next * 10;
    rest = next;
  }
  target[place--] = 0x2e;
  do {
    const next = (rest / 10) | 0;
    target[place--] = zero + rest - next * 10;
    rest = next;
  } while (rest > 0);
  return end;
}

function writeDigits(target: Uint8Array, at: number, value: number): number {
  const end = at + digitCount(value);
  let rest = value;
  for (let place = end - 1; place >= at; place--) {
    const next = (rest / 10) | 0;
    target[place] = zero + rest - next * 10;
    rest = next;
  }
  return end;
}

function digitCount(value: number): number {
  if (value >= 100_000_000) return value >= 1_000_000_000 ? 10 : 9;
  let count = 1;
  for (let limit = 10; value >= limit; limit *= 10) count++;
  return count;
}
