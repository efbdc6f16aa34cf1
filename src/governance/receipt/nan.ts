/** Replaces every NaN by one bit pattern: sign and payload of a NaN have no meaning and are lost in JSON. */
import type { FixedTensor } from '../../tensor/tensor.ts';

type FloatTensor = Extract<FixedTensor, { readonly datatype: 'FP16' | 'FP32' | 'FP64' }>;

const quietFp16 = 0x7e00;
const quietFp32 = 0x7fc00000;
const quietFp64 = 0x7ff8000000000000n;

/** Returns the tensor itself if it has no NaN, after one pass over it; otherwise a copy with one bit pattern for every NaN. */
export function withoutNanPayloads(tensor: FloatTensor): FloatTensor {
  switch (tensor.datatype) {
    case 'FP16': {
      const { data } = tensor;
      return data.some(isNanFp16)
        ? { ...tensor, data: data.map((bits) => (isNanFp16(bits) ? quietFp16 : bits)) }
        : tensor;
    }
    case 'FP32': {
      if (!hasNan(tensor.data)) return tensor;
      const data = tensor.data.slice();
      const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
      data.forEach((value, index) => {
        if (Number.isNaN(value)) bits[index] = quietFp32;
      });
      return { ...tensor, data };
    }
    case 'FP64': {
      if (!hasNan(tensor.data)) return tensor;
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
 * Reports whether a value is NaN, by the sum of all values, which is then NaN too. Four lanes, so that no addition waits for
 * the previous one: about half a nanosecond for each element. Infinities of both signs also sum to NaN, so a NaN sum is
 * confirmed by looking at every value.
 */
function hasNan(values: Float32Array | Float64Array): boolean {
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
