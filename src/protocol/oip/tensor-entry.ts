/** Parses an entry of `inputs` in a request or `outputs` in a response: name, shape, datatype, and inline or binary data. */
import { EdgewiseError } from '../../errors.ts';
import { type DataType, dataTypeNames, isDataType } from '../../tensor/datatype.ts';
import { nearestDatatype } from '../../tensor/datatype-name.ts';
import { maxTensorNameLength, maxTensors } from '../../tensor/limits.ts';
import { elementCount, type Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { tensorFromBlock } from './binary-data.ts';
import { parseWithExactIntegers } from './exact-integers.ts';
import { describe, invalid, quote } from './fail.ts';
import type { Blocks } from './frame.ts';
import { tensorFromJson } from './json-data.ts';
import { member } from './json-object.ts';
import type { JsonText } from './json-text.ts';
import { countParameter, parseParameters, refuseSharedMemory, scalarParameters } from './parameters.ts';

/** The message that a list of tensors belongs to. */
export interface TensorListSource {
  readonly key: 'inputs' | 'outputs';
  readonly json: JsonText;
  readonly blocks: Blocks;
}

/**
 * Parses the tensors of `list`, the member `source.key` of the parsed JSON, by name and in order.
 *
 * @throws EdgewiseError `invalid_request`, `shape_mismatch`, `unsupported_datatype`
 */
export function parseTensorList(list: readonly unknown[], source: TensorListSource): Map<string, Tensor> {
  if (list.length > maxTensors) {
    throw invalid(`"${source.key}" holds ${list.length} tensors; at most ${maxTensors} are accepted`);
  }
  const tensors = new Map<string, Tensor>();
  let exact: unknown;
  for (let index = 0; index < list.length; index++) {
    const entry = list[index];
    const name = tensorName(entry, `${source.key}[${index}]`);
    if (tensors.has(name)) throw invalid(`"${source.key}" lists ${quote(name)} twice`);
    const exactData = (): unknown => {
      exact ??= parseWithExactIntegers(source.json.text);
      return dataOf(exact, source.key, index);
    };
    tensors.set(name, parseTensor(entry, name, source, exactData));
  }
  return tensors;
}

/** @throws EdgewiseError `invalid_request` if `entry` is not an object with a usable name. */
export function tensorName(entry: unknown, place: string): string {
  const name = member(entry, 'name');
  if (typeof name !== 'string' || name === '' || name.length > maxTensorNameLength) {
    throw invalid(
      `${place} has no usable name; expected an object with a "name" of 1 to ${maxTensorNameLength} characters`,
    );
  }
  return name;
}

function parseTensor(
  entry: unknown,
  name: string,
  source: TensorListSource,
  exactData: () => unknown,
): Tensor {
  const what = `${source.key === 'inputs' ? 'input' : 'output'} ${quote(name)}`;
  const datatype = parseDatatype(member(entry, 'datatype'), what);
  const shape = parseShape(member(entry, 'shape'), what);
  const parameters =
    source.key === 'inputs'
      ? parseParameters(member(entry, 'parameters'), what)
      : scalarParameters(member(entry, 'parameters'));
  refuseSharedMemory(parameters, what);
  const size = countParameter(parameters, 'binary_data_size', what);
  const data = member(entry, 'data') ?? undefined;
  if ((size === undefined) === (data === undefined)) {
    const given = size === undefined ? 'neither' : 'both';
    throw invalid(`${what} has ${given} of "data" and "binary_data_size"; expected exactly one`);
  }
  if (size !== undefined) return tensorFromBlock(what, datatype, shape, source.blocks, size);
  return tensorFromJson(what, datatype, shape, data, { exactData });
}

function parseDatatype(value: unknown, what: string): DataType {
  if (typeof value !== 'string')
    throw invalid(`"datatype" of ${what} is ${describe(value)}; expected a string`);
  if (!isDataType(value)) {
    const near = nearestDatatype(value);
    const hint = near === undefined ? `expected one of ${dataTypeNames.join(', ')}` : `did you mean ${near}?`;
    throw new EdgewiseError(
      'unsupported_datatype',
      `"datatype" of ${what} is ${quote(value)}, which is not supported; ${hint}`,
    );
  }
  return value;
}

function parseShape(value: unknown, what: string): Shape {
  if (!isNumberList(value)) {
    throw invalid(`"shape" of ${what} is not an array of whole numbers`);
  }
  elementCount(value);
  return value;
}

function isNumberList(value: unknown): value is Shape {
  if (!Array.isArray(value)) return false;
  for (const dimension of value) {
    if (typeof dimension !== 'number') return false;
  }
  return true;
}

function dataOf(root: unknown, key: string, index: number): unknown {
  const list = member(root, key);
  const entry: unknown = Array.isArray(list) ? list[index] : undefined;
  return member(entry, 'data');
}
