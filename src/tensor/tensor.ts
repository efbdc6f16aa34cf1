import type { DataType, FixedDataType, TypedArrayOf } from './datatype.ts';
import type { Shape, ShapeSpec } from './shape.ts';

export type FixedTensor = {
  readonly [D in FixedDataType]: {
    readonly datatype: D;
    readonly shape: Shape;
    /** Row-major, `elementCount(shape)` elements. */
    readonly data: TypedArrayOf[D];
  };
}[FixedDataType];

/** Strings. ONNX Runtime's JavaScript APIs support UTF-8 text only, so other bytes are refused on entry. */
export interface BytesTensor {
  readonly datatype: 'BYTES';
  readonly shape: Shape;
  readonly data: readonly string[];
}

export type Tensor = FixedTensor | BytesTensor;

/** The inputs of a request, or the outputs of its answer, by name. */
export type NamedTensors = ReadonlyMap<string, Tensor>;

/** A declared input or output, as in model metadata. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: DataType;
  /** -1 marks a free dimension. */
  readonly shape: ShapeSpec;
}
