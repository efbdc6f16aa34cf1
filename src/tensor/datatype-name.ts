/** What a datatype is most likely called here that a caller names as another system does. */
import { nearestName } from '../near-name.ts';
import { type DataType, dataTypeNames } from './datatype.ts';

/** Names of NumPy, PyTorch, ONNX and Triton that are not near ours. */
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

/** Returns the datatype that `name` stands for, whatever its case; undefined where none is near. */
export function nearestDatatype(name: string): DataType | undefined {
  const plain = name.slice(0, 100).toLowerCase().replace(prefixes, '').replace(/\)$/, '');
  const other = otherNames.get(plain);
  if (other !== undefined) return other;
  const near = nearestName(plain, dataTypeNames);
  return dataTypeNames.find((each) => each === near);
}
