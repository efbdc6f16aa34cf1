/** Finds the datatype that a caller means by another system's name. */
import { nearestName } from '../near-name.ts';
import { type DataType, dataTypeNames } from './datatype.ts';

/** Names of NumPy, PyTorch, ONNX and Triton that are too far from ours for `nearestName`. */
const otherNames: ReadonlyMap<string, DataType> = new Map([
  ['float', 'FP32'],
  ['float32', 'FP32'],
  ['single', 'FP32'],
  ['double', 'FP64'],
  ['float64', 'FP64'],
  ['half', 'FP16'],
  ['float16', 'FP16'],
  ['long', 'INT64'],
  ['int', 'INT64'],
  ['byte', 'UINT8'],
  ['boolean', 'BOOL'],
  ['str', 'BYTES'],
  ['string', 'BYTES'],
  ['object', 'BYTES'],
]);
const prefixes = /^(?:type_|torch\.|np\.|numpy\.|tensor\()/;

/** Returns the datatype that `name` most likely means, ignoring case; undefined if none is near. */
export function nearestDatatype(name: string): DataType | undefined {
  const plain = name.slice(0, 100).toLowerCase().replace(prefixes, '').replace(/\)$/, '');
  const other = otherNames.get(plain);
  if (other !== undefined) return other;
  const near = nearestName(plain, dataTypeNames);
  return dataTypeNames.find((each) => each === near);
}
