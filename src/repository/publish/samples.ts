/** Parses the sample inputs in a model's folder: requests of the Open Inference Protocol, as a caller would send them. */
import type { Feeds } from '../../engine/types.ts';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import { parseInferRequest } from '../../protocol/oip/infer-request.ts';
import { shapeMatches } from '../../tensor/shape.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import type { SampleFile } from './types.ts';

export interface Sample {
  /** The name of the file. */
  readonly name: string;
  readonly feeds: Feeds;
}

/** @throws EdgewiseError `invalid_request` naming the file and its problem. */
export function parseSamples(files: readonly SampleFile[], inputs: readonly TensorSpec[]): readonly Sample[] {
  return files.map(({ name, bytes }) => {
    try {
      const request = parseInferRequest(bytes, { model: { inputs, maxBatchSize: 0 } });
      for (const input of inputs) {
        const tensor = request.inputs.get(input.name);
        if (tensor === undefined) {
          throw new EdgewiseError('invalid_request', `input ${JSON.stringify(input.name)} is missing`);
        }
        if (tensor.datatype !== input.datatype || !shapeMatches(input.shape, tensor.shape)) {
          throw new EdgewiseError(
            'invalid_request',
            `input ${JSON.stringify(input.name)} is ${tensor.datatype}[${tensor.shape.join(',')}], but the graph declares ${input.datatype}[${input.shape.join(',')}]`,
          );
        }
      }
      return {
        name,
        feeds: new Map(inputs.map((input) => [input.name, request.inputs.get(input.name)])) as Feeds,
      };
    } catch (thrown) {
      const error = toEdgewiseError(thrown);
      throw new EdgewiseError('invalid_request', `the sample ${name} cannot be used: ${error.message}`, {
        cause: error,
      });
    }
  });
}
