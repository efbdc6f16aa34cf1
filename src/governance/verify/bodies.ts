/** What a caller kept of a request and its answer, as the tensors that the receipt commits to. */
import { EdgewiseError } from '../../errors.ts';
import { parseInferResponse } from '../../protocol/oip/infer-client.ts';
import { parseInferRequest } from '../../protocol/oip/infer-request.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';

const noModel = { inputs: [], maxBatchSize: 0 };

/**
 * The inputs of a request.
 *
 * @param headerLength Its `Inference-Header-Content-Length`. A body that is one raw tensor (0) says not of what shape, so it
 * cannot be read here.
 * @throws EdgewiseError what `parseInferRequest` throws.
 */
export function inputsOfBody(body: Uint8Array, headerLength?: string): NamedTensors {
  return parseInferRequest(body, { headerLength, model: noModel }).inputs;
}

/**
 * The outputs of an answer. Classes that were asked for in place of numbers are not what the receipt commits to.
 *
 * @throws EdgewiseError `invalid_request`
 */
export function outputsOfBody(body: Uint8Array, headerLength?: string): NamedTensors {
  try {
    return parseInferResponse(body, { headerLength }).outputs;
  } catch (cause) {
    // What a client takes for its server's failure is here a file that somebody chose.
    throw new EdgewiseError('invalid_request', 'these bytes are not the body of an answer', { cause });
  }
}
