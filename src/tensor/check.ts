/** Checks that the tensors of a request match the model's declared inputs. */
import { EdgewiseError } from '../errors.ts';
import { shapeMatches } from './shape.ts';
import type { Tensor, TensorSpec } from './tensor.ts';
import { checkValues, type ValueBounds } from './value-bounds.ts';

export interface CheckFeedsOptions {
  /** Largest first dimension; 0: the model has no batch dimension. Default 0. */
  readonly maxBatchSize?: number;
  /** Bounds of the elements; absent: not checked. */
  readonly values?: ValueBounds | undefined;
}

/**
 * @throws EdgewiseError `invalid_request` for a missing or extra input, a wrong datatype, a batch outside 1 to
 * `maxBatchSize`, or an element outside its bounds; `shape_mismatch` for a wrong shape, or batches that differ between
 * inputs.
 */
export function checkFeeds(
  inputs: ReadonlyMap<string, Tensor>,
  specs: readonly TensorSpec[],
  options: CheckFeedsOptions = {},
): void {
  for (const spec of specs) {
    const tensor = inputs.get(spec.name);
    if (tensor === undefined) {
      throw new EdgewiseError(
        'invalid_request',
        `input "${spec.name}" is missing; the model expects ${listSpecs(specs)}, the request has ${listInputs(inputs)}`,
      );
    }
    checkTensor(tensor, spec);
  }
  // All declared inputs are present, so a different size means extra ones.
  if (inputs.size !== specs.length) throw extraInputError(inputs, specs);
  if ((options.maxBatchSize ?? 0) > 0) checkBatch(inputs, options.maxBatchSize ?? 0);
  if (options.values !== undefined) checkValues(inputs, options.values);
}

/**
 * @throws EdgewiseError `invalid_request` if the tensor does not have the declared datatype; `shape_mismatch` if it does not
 * have an allowed shape.
 */
export function checkTensor(tensor: Tensor, spec: TensorSpec): void {
  if (tensor.datatype !== spec.datatype) {
    throw new EdgewiseError(
      'invalid_request',
      `input "${spec.name}" is ${tensor.datatype}; the model expects ${spec.datatype}`,
    );
  }
  if (!shapeMatches(spec.shape, tensor.shape)) {
    throw new EdgewiseError(
      'shape_mismatch',
      `input "${spec.name}" has shape [${tensor.shape.join(',')}]; the model expects [${spec.shape.join(',')}]`,
    );
  }
}

function extraInputError(inputs: ReadonlyMap<string, Tensor>, specs: readonly TensorSpec[]): EdgewiseError {
  const declared = new Set(specs.map(({ name }) => name));
  const extra = [...inputs.keys()].find((name) => !declared.has(name)) ?? '';
  return new EdgewiseError(
    'invalid_request',
    `input ${JSON.stringify(extra.slice(0, 80))} is unknown; the model expects ${listSpecs(specs)}`,
  );
}

function checkBatch(inputs: ReadonlyMap<string, Tensor>, maxBatchSize: number): void {
  let batch: number | undefined;
  for (const [name, { shape }] of inputs) {
    const [size = 1] = shape;
    if (size < 1 || size > maxBatchSize) {
      throw new EdgewiseError(
        'invalid_request',
        `input "${name}" has a batch of ${size}; the model expects 1 to ${maxBatchSize}`,
      );
    }
    batch ??= size;
    if (batch !== size) {
      throw new EdgewiseError(
        'shape_mismatch',
        `input "${name}" has a batch of ${size}; an earlier input has a batch of ${batch}`,
      );
    }
  }
}

/** Lists a few names, clipped, since they come from callers. */
function listInputs(inputs: ReadonlyMap<string, Tensor>): string {
  const some = [...inputs.keys()].slice(0, 4).map((name) => JSON.stringify(name.slice(0, 80)));
  return some.length === 0 ? 'none' : `${some.join(', ')}${inputs.size > some.length ? ', …' : ''}`;
}

function listSpecs(specs: readonly TensorSpec[]): string {
  return specs.map(({ name }) => `"${name}"`).join(', ');
}
