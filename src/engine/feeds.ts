import { EdgewiseError } from '../errors.ts';
import { checkTensor } from '../tensor/check.ts';
import { elementCount } from '../tensor/shape.ts';
import type { Tensor, TensorSpec } from '../tensor/tensor.ts';
import type { Feeds } from './types.ts';

/**
 * Checks the feeds and returns them in the order of `inputs`. Drivers copy the result without further checks: every input
 * is present and has the declared datatype, an allowed shape, and as many elements as its shape.
 *
 * @throws EdgewiseError `invalid_request` for a missing or unknown input or a wrong datatype; `shape_mismatch` for a wrong
 * shape or number of elements.
 */
export function orderFeeds(inputs: readonly TensorSpec[], feeds: Feeds): readonly Tensor[] {
  const tensors = inputs.map((spec) => {
    const tensor = feeds.get(spec.name);
    if (tensor === undefined) {
      throw new EdgewiseError('invalid_request', `input ${JSON.stringify(spec.name)} is missing`);
    }
    checkFeed(spec, tensor);
    return tensor;
  });
  if (feeds.size !== inputs.length) {
    const known = new Set(inputs.map(({ name }) => name));
    const unknown = [...feeds.keys()].find((name) => !known.has(name));
    throw new EdgewiseError('invalid_request', `the model has no input ${JSON.stringify(unknown)}`);
  }
  return tensors;
}

function checkFeed(spec: TensorSpec, tensor: Tensor): void {
  const count = elementCount(tensor.shape);
  // Engines report an input of unknown rank as a scalar, so a shape without dimensions is not checked.
  checkTensor(tensor, spec.shape.length > 0 ? spec : { ...spec, shape: tensor.shape });
  if (tensor.data.length !== count) {
    throw new EdgewiseError(
      'shape_mismatch',
      `input ${JSON.stringify(spec.name)} has ${tensor.data.length} elements; its shape [${tensor.shape.join(',')}] requires ${count}`,
    );
  }
}

/**
 * Returns the positions in `outputs` of the outputs to compute; all positions if `fetches` is absent. Repeated names count
 * once.
 *
 * @throws EdgewiseError `invalid_request` for a name that is not an output of the model.
 */
export function findFetchIndices(
  outputs: readonly TensorSpec[],
  fetches?: readonly string[],
): readonly number[] {
  if (fetches === undefined) {
    return outputs.map((_, index) => index);
  }
  const positions = new Map(outputs.map(({ name }, index) => [name, index]));
  return [...new Set(fetches)].map((name) => {
    const index = positions.get(name);
    if (index === undefined) {
      throw new EdgewiseError('invalid_request', `the model has no output ${JSON.stringify(name)}`);
    }
    return index;
  });
}
