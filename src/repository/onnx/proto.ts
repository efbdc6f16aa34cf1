/** Decodes and encodes `.onnx` files. The objects: `proto-types.ts`; their field numbers: `proto-tables.ts`. */
import type { Bytes } from '../../bytes.ts';
import { modelProto } from './proto-tables.ts';
import type { ModelProto } from './proto-types.ts';
import { decodeProtobuf, encodeProtobuf } from './wire.ts';

export type * from './proto-types.ts';
export { attributeTypes, dataLocations, tensorTypes } from './proto-types.ts';

/**
 * Decodes the model in `bytes`. Bytes fields are views of `bytes`; packed floats are views if they are aligned.
 *
 * @throws EdgewiseError `invalid_request` if the bytes are not an ONNX model, nest messages more than 100 deep or hold more
 * than 4 million elements.
 */
export function decodeModel(bytes: Uint8Array): ModelProto {
  return decodeProtobuf(modelProto, bytes, 'an ONNX model');
}

/** Encodes the model: fields ascending by number, as protobuf's own encoders write them, then unknown fields. */
export function encodeModel(model: ModelProto): Bytes {
  return encodeProtobuf(modelProto, model);
}
