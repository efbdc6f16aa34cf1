import { type FixedDataType, typedArrays } from './datatype.ts';
import { elementCount, type Shape } from './shape.ts';
import type { FixedTensor } from './tensor.ts';

/**
 * A tensor of zeros. The caller has bounded the shape: this allocates.
 *
 * @throws EdgewiseError `invalid_request` for a shape that cannot be counted.
 */
export function zeroTensor(datatype: FixedDataType, shape: Shape): FixedTensor {
  // The compiler does not follow that one `datatype` picks both the tag and the array.
  return { datatype, shape, data: new typedArrays[datatype](elementCount(shape)) } as FixedTensor;
}
