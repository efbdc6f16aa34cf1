/** Reads the tensors that a receipt commits to from the bodies of a request and its answer. */
import { EdgewiseError } from '../../errors.ts';
import { parseInferResponse } from '../../protocol/oip/infer-client.ts';
import { parseInferRequest } from '../../protocol/oip/infer-request.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';

const noModel = { inputs: [], maxBatchSize: 0 };

/**
 * Returns the inputs of a request.
 *
 * @param headerLength The request's `Inference-Header-Content-Length`. A body that is one raw tensor (0) does not contain its
 * shape, so it cannot be read here.
 * @throws EdgewiseError as `parseInferRequest`.
 */
export function inputsOfBody(body: Uint8Array, headerLength?: string): NamedTensors {
  return parseInferRequest(body, { headerLength, model: noModel }).inputs;
}

/**
 * Returns the outputs of an answer. The receipt commits to numbers, not to the classes that a request can ask for instead.
 *
 * @throws EdgewiseError `invalid_request`
 */
export function outputsOfBody(body: Uint8Array, headerLength?: string): NamedTensors {
  try {
    return parseInferResponse(body, { headerLength }).outputs;
  } catch (cause) {
    // For a client this is a failure of the server; here it is a file that the user chose.
    throw new EdgewiseError('invalid_request', 'these bytes are not the body of an answer', { cause });
  }
}
