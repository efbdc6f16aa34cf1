import { type FixedDataType, typedArrays } from './datatype.ts';
import { elementCount, type Shape } from './shape.ts';
import type { FixedTensor } from './tensor.ts';

/**
 * Returns a tensor of zeros. The caller must have limited the shape's size.
 *
 * @throws EdgewiseError `invalid_request` for a shape that `elementCount` rejects.
 */
export function zeroTensor(datatype: FixedDataType, shape: Shape): FixedTensor {
  // The compiler does not see that `datatype` determines both the tag and the array.
  return { datatype, shape, data: new typedArrays[datatype](elementCount(shape)) } as FixedTensor;
}
