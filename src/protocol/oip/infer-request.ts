/** The server side of `POST /v2/models/{name}/infer`: parses body and header into tensors. */
import { describe, invalid, quote } from './fail.ts';
import { checkAllTaken, splitFrame } from './frame.ts';
import { isObject, member } from './json-object.ts';
import { type JsonLimits, parseJson } from './json-text.ts';
import {
  booleanParameter,
  countParameter,
  noParameters,
  parseParameters,
  refuseReserved,
  refuseSharedMemory,
} from './parameters.ts';
import { rawTensor } from './raw-request.ts';
import { parseTensorList, tensorName } from './tensor-entry.ts';
import { headerLengthName, type InferRequest, type ModelSignature, type RequestedOutput } from './types.ts';

const maxIdLength = 1024;

export interface ParseInferRequestOptions {
  /** The raw value of `Inference-Header-Content-Length`; undefined if the request has none. */
  readonly headerLength?: string | undefined;
  readonly model: ModelSignature;
  readonly limits?: JsonLimits;
}

/**
 * Parses a whole (decompressed) request body. Tensors may be views of `body`. A header length of 0 means that all of the
 * body is the model's single input; its outputs are then binary.
 *
 * @throws EdgewiseError `invalid_request`, `shape_mismatch`, `unsupported_datatype`, `too_large`
 */
export function parseInferRequest(body: Uint8Array, options: ParseInferRequestOptions): InferRequest {
  const { json, blocks } = splitFrame(body, options.headerLength);
  if (options.headerLength !== undefined && json.byteLength === 0) {
    const { name, tensor } = rawTensor(body, options.model);
    return { parameters: noParameters, inputs: new Map([[name, tensor]]), binaryOutput: true };
  }
  const parsed = parseJson(json, jsonPart(options.headerLength), options.limits);
  const root = parsed.value;
  if (!isObject(root)) throw invalid(`the request is ${describe(root)}; expected a JSON object`);
  const parameters = parseParameters(member(root, 'parameters'), 'the request');
  refuseReserved(parameters);
  const id = parseId(member(root, 'id'));
  const outputs = parseRequestedOutputs(member(root, 'outputs'));
  const list = member(root, 'inputs');
  if (!Array.isArray(list)) throw invalid(`"inputs" is ${describe(list)}; expected an array`);
  const inputs = parseTensorList(list, { key: 'inputs', json: parsed, blocks });
  checkAllTaken(blocks);
  return {
    ...(id === undefined ? undefined : { id }),
    parameters,
    inputs,
    ...(outputs === undefined ? undefined : { outputs }),
    binaryOutput: booleanParameter(parameters, 'binary_data_output', 'the request'),
  };
}

/** Names the JSON part for messages. Clients that reuse a header dictionary send the length of an earlier request; the name then shows the cause. */
function jsonPart(headerLength: string | undefined): string {
  return headerLength === undefined
    ? 'the request'
    : `the request (its first ${headerLength} bytes, by ${headerLengthName})`;
}

function parseId(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw invalid(`"id" is ${describe(value)}; expected a string`);
  if (value.length > maxIdLength) {
    throw invalid(`"id" has ${value.length} characters; at most ${maxIdLength} are accepted`);
  }
  return value;
}

/** Returns undefined if the list is absent or empty, which asks for every output. */
function parseRequestedOutputs(value: unknown): readonly RequestedOutput[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw invalid(`"outputs" is ${describe(value)}; expected an array`);
  const names = new Set<string>();
  const outputs = value.map((entry: unknown, index) => {
    const output = parseRequestedOutput(entry, `outputs[${index}]`);
    if (names.has(output.name)) throw invalid(`"outputs" lists ${quote(output.name)} twice`);
    names.add(output.name);
    return output;
  });
  return outputs.length === 0 ? undefined : outputs;
}

function parseRequestedOutput(entry: unknown, place: string): RequestedOutput {
  const name = tensorName(entry, place);
  const what = `output ${quote(name)}`;
  const parameters = parseParameters(member(entry, 'parameters'), what);
  refuseSharedMemory(parameters, what);
  const classification = countParameter(parameters, 'classification', what);
  // The request's binary_data_output does not apply to listed outputs (docs/decisions/0003).
  const binary = booleanParameter(parameters, 'binary_data', what);
  return classification === undefined || classification === 0
    ? { name, binary }
    : { name, binary, classification };
}
