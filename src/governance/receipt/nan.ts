/** One NaN for all: what a NaN has for sign and payload is not kept on every way, JSON's for one, and means nothing. */
import type { FixedTensor } from '../../tensor/tensor.ts';

type FloatTensor = Extract<FixedTensor, { readonly datatype: 'FP16' | 'FP32' | 'FP64' }>;

const quietFp16 = 0x7e00;
const quietFp32 = 0x7fc00000;
const quietFp64 = 0x7ff8000000000000n;

/** The tensor itself where it holds no NaN, which costs one pass over it; else a copy with one bit pattern for all of them. */
export function withoutNanPayloads(tensor: FloatTensor): FloatTensor {
  switch (tensor.datatype) {
    case 'FP16': {
      const { data } = tensor;
      return data.some(isNanFp16)
        ? { ...tensor, data: data.map((bits) => (isNanFp16(bits) ? quietFp16 : bits)) }
        : tensor;
    }
    case 'FP32': {
      if (!holdsNan(tensor.data)) return tensor;
      const data = tensor.data.slice();
      const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
      data.forEach((value, index) => {
        if (Number.isNaN(value)) bits[index] = quietFp32;
      });
      return { ...tensor, data };
    }
    case 'FP64': {
      if (!holdsNan(tensor.data)) return tensor;
      const data = tensor.data.slice();
      const bits = new BigUint64Array(data.buffer, data.byteOffset, data.length);
      data.forEach((value, index) => {
        if (Number.isNaN(value)) bits[index] = quietFp64;
      });
      return { ...tensor, data };
    }
  }
}

function isNanFp16(bits: number): boolean {
  return (bits & 0x7fff) > 0x7c00;
}

/**
 * The sum of numbers is a NaN when one of them is; in four lanes, so that no addition waits for the one before: about
 * half a nanosecond for an element. Infinities of both signs make a NaN as well, so then all are looked at.
 */
function holdsNan(values: Float32Array | Float64Array): boolean {
  const whole = values.length - (values.length % 4);
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let at = 0; at < whole; at += 4) {
    a += values[at] ?? 0;
    b += values[at + 1] ?? 0;
    c += values[at + 2] ?? 0;
    d += values[at + 3] ?? 0;
  }
  for (let at = whole; at < values.length; at += 1) a += values[at] ?? 0;
  return Number.isNaN(a + b + c + d) && values.some(Number.isNaN);
}
