import fc from 'fast-check';
import { zeroTensor } from '../../../src/tensor/allocate.ts';
import { type DataType, type FixedDataType, fixedDataTypes } from '../../../src/tensor/datatype.ts';
import { elementCount, type Shape } from '../../../src/tensor/shape.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';

/** Every type that has a JSON form. */
export const jsonDataTypes: readonly DataType[] = [
  ...fixedDataTypes.filter((type) => type !== 'FP16'),
  'BYTES',
];

export const shapes: fc.Arbitrary<Shape> = fc.array(fc.nat(4), { maxLength: 4 });

/** Tensors of arbitrary bits, including every NaN, subnormal, extreme and signed zero. */
export function tensors(datatypes: readonly DataType[]): fc.Arbitrary<Tensor> {
  return fc.tuple(fc.constantFrom(...datatypes), shapes).chain(([datatype, shape]) => {
    const length = elementCount(shape);
    return datatype === 'BYTES'
      ? fc
          .array(fc.string({ unit: 'binary' }), { minLength: length, maxLength: length })
          .map((data): Tensor => ({ datatype, shape, data }))
      : fixedTensors(datatype, shape, length);
  });
}

function fixedTensors(datatype: FixedDataType, shape: Shape, length: number): fc.Arbitrary<Tensor> {
  const constraints = { minLength: length, maxLength: length };
  const numbers = (arbitrary: fc.Arbitrary<number>): fc.Arbitrary<Tensor> =>
    fc.array(arbitrary, constraints).map((values) => fillTensor(datatype, shape, values));
  switch (datatype) {
    case 'FP32':
      return numbers(fc.float());
    case 'FP64':
      return numbers(fc.double());
    case 'BOOL':
      return numbers(fc.nat(1));
    case 'INT64':
    case 'UINT64':
      return fc
        .array(
          fc.bigInt({
            min: datatype === 'INT64' ? -(2n ** 63n) : 0n,
            max: 2n ** (datatype === 'INT64' ? 63n : 64n) - 1n,
          }),
          constraints,
        )
        .map((values) => fillTensor(datatype, shape, values));
    default:
      return numbers(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
  }
}

function fillTensor(datatype: FixedDataType, shape: Shape, values: readonly (number | bigint)[]): Tensor {
  const tensor = zeroTensor(datatype, shape);
  values.forEach((value, index) => {
    tensor.data[index] = value;
  });
  return tensor;
}

/** Returns the elements as JSON values, nested according to `shape`. */
export function nest(shape: Shape, elements: readonly unknown[]): unknown {
  const [first, ...rest] = shape;
  if (first === undefined) return elements[0];
  const step = elementCount(rest);
  return Array.from({ length: first }, (_, index) =>
    nest(rest, elements.slice(index * step, (index + 1) * step)),
  );
}
