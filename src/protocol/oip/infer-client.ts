/** The client side of inference: encodes a request into a body and parses an answer into tensors. */
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { encodeMessage } from './encode-message.ts';
import { invalid } from './fail.ts';
import { checkAllTaken, splitFrame } from './frame.ts';
import { isObject, member } from './json-object.ts';
import { parseJson } from './json-text.ts';
import { scalarParameters } from './parameters.ts';
import { parseTensorList } from './tensor-entry.ts';
import type { EncodedMessage, InferResponse, Parameters, RequestedOutput } from './types.ts';

export interface EncodeInferRequestOptions {
  readonly id?: string | undefined;
  readonly parameters?: Parameters;
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** Absent: all outputs. */
  readonly outputs?: readonly RequestedOutput[] | undefined;
  /** Whether to send inputs in binary; the server must list `binary_tensor_data`. */
  readonly binaryInput: boolean;
  /** Whether to ask for binary outputs that are not listed. */
  readonly binaryOutput: boolean;
}

/** @throws EdgewiseError `unsupported_datatype` for an FP16 input if `binaryInput` is false. */
export function encodeInferRequest(options: EncodeInferRequestOptions): EncodedMessage {
  const id = options.id === undefined ? '' : `"id":${JSON.stringify(options.id)},`;
  const parameters = options.binaryOutput
    ? { ...options.parameters, binary_data_output: true }
    : options.parameters;
  const head = parameters === undefined ? id : `${id}"parameters":${JSON.stringify(parameters)},`;
  const tensors = Array.from(options.inputs, ([name, tensor]) => ({
    name,
    tensor,
    binary: options.binaryInput,
  }));
  const tail =
    options.outputs === undefined ? '' : `,"outputs":${JSON.stringify(options.outputs.map(outputEntry))}`;
  return encodeMessage({ head, key: 'inputs', tensors, tail });
}

function outputEntry({ name, binary, classification }: RequestedOutput): unknown {
  return {
    name,
    parameters: { binary_data: binary, ...(classification === undefined ? undefined : { classification }) },
  };
}

export interface ParseInferResponseOptions {
  /** The raw value of the answer's `Inference-Header-Content-Length`; undefined if it has none. */
  readonly headerLength?: string | undefined;
}

/**
 * Parses the body of a successful answer. Tensors may be views of `body`.
 *
 * @throws EdgewiseError `origin_unavailable` if it is not a valid answer: the server is at fault, not the caller.
 */
export function parseInferResponse(body: Uint8Array, options: ParseInferResponseOptions = {}): InferResponse {
  try {
    return parseAnswer(body, options.headerLength);
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    throw new EdgewiseError('origin_unavailable', `the server's answer cannot be read: ${error.message}`, {
      cause: error,
    });
  }
}

function parseAnswer(body: Uint8Array, headerLength: string | undefined): InferResponse {
  const { json, blocks } = splitFrame(body, headerLength);
  const parsed = parseJson(json, 'the answer');
  const root = parsed.value;
  const list = member(root, 'outputs');
  if (!isObject(root) || !Array.isArray(list)) throw invalid('the answer has no list of outputs');
  const outputs = parseTensorList(list, { key: 'outputs', json: parsed, blocks });
  checkAllTaken(blocks);
  const modelName = member(root, 'model_name');
  const modelVersion = member(root, 'model_version');
  const id = member(root, 'id');
  return {
    ...(typeof modelName === 'string' ? { modelName } : undefined),
    ...(typeof modelVersion === 'string' ? { modelVersion } : undefined),
    ...(typeof id === 'string' ? { id } : undefined),
    parameters: scalarParameters(member(root, 'parameters')),
    outputs,
  };
}
