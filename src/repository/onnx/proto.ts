/** `.onnx` bytes in and out. The objects: `proto-types.ts`; their field numbers: `proto-tables.ts`. */
import { modelProto } from './proto-tables.ts';
import type { ModelProto } from './proto-types.ts';
import { decodeProtobuf, encodeProtobuf } from './wire.ts';

export type * from './proto-types.ts';
export { attributeTypes, dataLocations, tensorTypes } from './proto-types.ts';

/**
 * The model in `bytes`. Bytes fields are views of them, and packed floats where they are aligned.
 *
 * @throws EdgewiseError `invalid_request` when the bytes are not an ONNX model, nest deeper than 100 messages or hold an
 * absurd number of elements.
 */
export function decodeModel(bytes: Uint8Array): ModelProto {
  return decodeProtobuf(modelProto, bytes, 'an ONNX model');
}

/** Fields ascending by number, as protobuf's own encoders write them, then the unknown ones. */
export function encodeModel(model: ModelProto): Uint8Array<ArrayBuffer> {
  return encodeProtobuf(modelProto, model);
}
