import { EdgewiseError } from '../../errors.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import { invalid, quote } from './fail.ts';
import type { InferRequest } from './types.ts';

/**
 * Checks, before the run, that the model can return the outputs that the request lists.
 *
 * @throws EdgewiseError `invalid_request` for an output that the model does not have; `unsupported_datatype` for FP16
 * that would have to be JSON, or an output whose type cannot be classified.
 */
export function checkRequestedOutputs(
  request: Pick<InferRequest, 'outputs' | 'binaryOutput'>,
  specs: readonly TensorSpec[],
): void {
  if (request.outputs === undefined) {
    for (const spec of specs) checkForm(spec, request.binaryOutput);
    return;
  }
  for (const { name, binary, classification } of request.outputs) {
    const spec = specs.find((candidate) => candidate.name === name);
    if (spec === undefined) {
      throw invalid(
        `the model has no output ${quote(name)}; it has ${specs.map((known) => `"${known.name}"`).join(', ')}`,
      );
    }
    if (classification === undefined) checkForm(spec, binary);
    else checkClassifiable(spec);
  }
}

function checkForm({ name, datatype }: TensorSpec, binary: boolean): void {
  if (datatype === 'FP16' && !binary) {
    throw new EdgewiseError(
      'unsupported_datatype',
      `output "${name}" is FP16, which has no JSON form; ask for it with the parameter binary_data`,
    );
  }
}

function checkClassifiable({ name, datatype }: TensorSpec): void {
  if (datatype === 'FP16' || datatype === 'BOOL' || datatype === 'BYTES') {
    throw new EdgewiseError(
      'unsupported_datatype',
      `output "${name}" is ${datatype}, which cannot be classified`,
    );
  }
}
