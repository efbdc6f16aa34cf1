/** Raw requests: the whole body is one tensor, described by the model (extension_binary_data.md, "Raw Binary Request"). */
import { type DataType, elementBytes } from '../../tensor/datatype.ts';
import type { Shape } from '../../tensor/shape.ts';
import type { Tensor, TensorSpec } from '../../tensor/tensor.ts';
import { tensorFromBlock } from './binary-data.ts';
import { decodeText } from './bytes-elements.ts';
import { invalid, mismatch, quote } from './fail.ts';
import type { ModelSignature } from './types.ts';

/**
 * Returns the single input of `model` with `body` as its data, at batch size 1.
 *
 * @throws EdgewiseError `invalid_request` if the model does not determine the shape; `shape_mismatch` if the body has
 * another size.
 */
export function rawTensor(body: Uint8Array, model: ModelSignature): { name: string; tensor: Tensor } {
  const [spec] = model.inputs;
  if (spec === undefined || model.inputs.length !== 1) {
    throw invalid(
      `a raw request (header length 0) needs a model with exactly one input; this one has ${model.inputs.length}`,
    );
  }
  const what = `input ${quote(spec.name)}`;
  const batchOne = model.maxBatchSize > 0 ? [1, ...spec.shape.slice(1)] : spec.shape;
  if (spec.datatype === 'BYTES') return { name: spec.name, tensor: rawText(what, batchOne, body) };
  const shape = rawShape(what, spec, batchOne, body.byteLength);
  const blocks = { bytes: body, taken: 0 };
  return { name: spec.name, tensor: tensorFromBlock(what, spec.datatype, shape, blocks, body.byteLength) };
}

/** The body is the single element itself, without a length before it. */
function rawText(what: string, shape: Shape, body: Uint8Array): Tensor {
  if (shape.some((dimension) => dimension !== 1)) {
    throw invalid(
      `a raw request for ${what} needs one BYTES element; the model declares [${shape.join(',')}]`,
    );
  }
  return { datatype: 'BYTES', shape, data: [decodeText(what, 0, body)] };
}

function rawShape(what: string, spec: TensorSpec, declared: Shape, byteLength: number): Shape {
  const free = declared.filter((dimension) => dimension === -1).length;
  if (free > 1) {
    throw invalid(
      `a raw request for ${what} leaves ${free} dimensions of [${declared.join(',')}] open; at most 1 may be`,
    );
  }
  const rowBytes = declared.reduce(
    (bytes, dimension) => (dimension === -1 ? bytes : bytes * dimension),
    fixedSize(spec.datatype),
  );
  if (free === 0) return declared;
  if (rowBytes === 0 || byteLength % rowBytes !== 0) {
    throw mismatch(
      `the raw request has ${byteLength} bytes; ${what} of shape [${declared.join(',')}] takes a multiple of ${rowBytes}`,
    );
  }
  return declared.map((dimension) => (dimension === -1 ? byteLength / rowBytes : dimension));
}

function fixedSize(datatype: DataType): number {
  return datatype === 'BYTES' ? 0 : elementBytes(datatype);
}
