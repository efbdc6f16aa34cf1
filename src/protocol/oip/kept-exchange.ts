/** A request and its answer in one body, as a caller who kept both presents them: their tensors and other members. */
import { describe, invalid } from './fail.ts';
import { checkAllTaken, splitFrame } from './frame.ts';
import { isObject, member } from './json-object.ts';
import { type JsonLimits, parseJson } from './json-text.ts';
import { parseTensorList, type TensorListSource } from './tensor-entry.ts';

type Tensors = ReturnType<typeof parseTensorList>;

export interface KeptExchange {
  /** The whole JSON, for the members besides the tensors. */
  readonly document: Readonly<Record<string, unknown>>;
  readonly inputs: Tensors;
  /** Undefined if the body has no `outputs`. */
  readonly outputs: Tensors | undefined;
}

export interface KeptExchangeOptions {
  /** The raw value of `Inference-Header-Content-Length`; undefined if there is none. */
  readonly headerLength?: string | undefined;
  readonly limits?: JsonLimits;
}

/**
 * Parses `inputs` in the form of a request and `outputs` in the form of an answer. Binary tensors follow the JSON: first the
 * inputs, then the outputs. Tensors may be views of `body`.
 *
 * @throws EdgewiseError `invalid_request`, `shape_mismatch`, `unsupported_datatype`, `too_large`
 */
export function parseKeptExchange(
  body: Uint8Array,
  { headerLength, limits }: KeptExchangeOptions = {},
): KeptExchange {
  const { json, blocks } = splitFrame(body, headerLength);
  const parsed = parseJson(json, 'the body', limits);
  const document = parsed.value;
  if (!isObject(document)) throw invalid(`the body is ${describe(document)}; expected a JSON object`);
  const tensors = (key: TensorListSource['key']): Tensors => {
    const list = member(document, key);
    if (!Array.isArray(list)) throw invalid(`"${key}" is ${describe(list)}; expected an array`);
    return parseTensorList(list, { key, json: parsed, blocks });
  };
  const inputs = tensors('inputs');
  const outputs = document['outputs'] === undefined ? undefined : tensors('outputs');
  checkAllTaken(blocks);
  return { document, inputs, outputs };
}
