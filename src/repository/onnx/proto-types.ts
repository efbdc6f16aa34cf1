/**
 * ONNX models as plain objects, after onnx/onnx.proto of the ONNX project, IR version 13. Names are those of onnx.proto in
 * camelCase, 64-bit integers are bigints, packed numbers are typed arrays. A field that is absent in the file is absent in
 * the object, repeated fields included.
 */
import type { ByteSource } from './byte-source.ts';
import type { UnknownFields } from './wire.ts';

/** `TensorProto.DataType`. */
export const tensorTypes = {
  UNDEFINED: 0,
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  STRING: 8,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  UINT32: 12,
  UINT64: 13,
  COMPLEX64: 14,
  COMPLEX128: 15,
  BFLOAT16: 16,
  FLOAT8E4M3FN: 17,
  FLOAT8E4M3FNUZ: 18,
  FLOAT8E5M2: 19,
  FLOAT8E5M2FNUZ: 20,
  UINT4: 21,
  INT4: 22,
  FLOAT4E2M1: 23,
  FLOAT8E8M0: 24,
  UINT2: 25,
  INT2: 26,
} as const;

/** `AttributeProto.AttributeType`. */
export const attributeTypes = {
  UNDEFINED: 0,
  FLOAT: 1,
  INT: 2,
  STRING: 3,
  TENSOR: 4,
  GRAPH: 5,
  FLOATS: 6,
  INTS: 7,
  STRINGS: 8,
  TENSORS: 9,
  GRAPHS: 10,
  SPARSE_TENSOR: 11,
  SPARSE_TENSORS: 12,
  TYPE_PROTO: 13,
  TYPE_PROTOS: 14,
} as const;

/** `TensorProto.DataLocation`. */
export const dataLocations = { DEFAULT: 0, EXTERNAL: 1 } as const;

/** A whole `.onnx` file. */
export interface ModelProto extends UnknownFields {
  readonly irVersion?: bigint;
  readonly producerName?: string;
  readonly producerVersion?: string;
  readonly domain?: string;
  readonly modelVersion?: bigint;
  readonly docString?: string;
  readonly graph?: GraphProto;
  readonly opsetImport?: readonly OperatorSetIdProto[];
  readonly metadataProps?: readonly StringStringEntryProto[];
  readonly trainingInfo?: readonly TrainingInfoProto[];
  readonly functions?: readonly FunctionProto[];
  readonly configuration?: readonly DeviceConfigurationProto[];
}

export interface GraphProto extends UnknownFields {
  readonly node?: readonly NodeProto[];
  readonly name?: string;
  readonly initializer?: readonly TensorProto[];
  readonly docString?: string;
  readonly input?: readonly ValueInfoProto[];
  readonly output?: readonly ValueInfoProto[];
  readonly valueInfo?: readonly ValueInfoProto[];
  readonly quantizationAnnotation?: readonly TensorAnnotation[];
  readonly sparseInitializer?: readonly SparseTensorProto[];
  readonly metadataProps?: readonly StringStringEntryProto[];
}

export interface NodeProto extends UnknownFields {
  readonly input?: readonly string[];
  readonly output?: readonly string[];
  readonly name?: string;
  readonly opType?: string;
  readonly attribute?: readonly AttributeProto[];
  readonly docString?: string;
  readonly domain?: string;
  readonly overload?: string;
  readonly metadataProps?: readonly StringStringEntryProto[];
  readonly deviceConfigurations?: readonly NodeDeviceConfigurationProto[];
}

/** An array, or a typed one: a forest of trees has millions of numbers in one attribute. */
export type NumberList<V> = ArrayLike<V> & Iterable<V>;

/** One value, of the kind given by `type` (`attributeTypes`). */
export interface AttributeProto extends UnknownFields {
  readonly name?: string;
  readonly f?: number;
  readonly i?: bigint;
  readonly s?: Uint8Array;
  readonly t?: TensorProto;
  readonly g?: GraphProto;
  readonly floats?: NumberList<number>;
  readonly ints?: NumberList<bigint>;
  readonly strings?: readonly Uint8Array[];
  readonly tensors?: readonly TensorProto[];
  readonly graphs?: readonly GraphProto[];
  readonly docString?: string;
  readonly tp?: TypeProto;
  readonly typeProtos?: readonly TypeProto[];
  readonly type?: number;
  readonly refAttrName?: string;
  readonly sparseTensor?: SparseTensorProto;
  readonly sparseTensors?: readonly SparseTensorProto[];
}

/** A range of a file that holds the values of a tensor, as `raw_data` would. */
export interface StoredBytes {
  /** The file's path, as a graph beside it would refer to it. */
  readonly location: string;
  readonly file: ByteSource;
  readonly begin: number;
  readonly byteLength: number;
}

/** `dataType` is one of `tensorTypes`; the values are in `rawData`, in a typed field, or in another file (`externalData`). */
export interface TensorProto extends UnknownFields {
  /** Set by `readModel` instead of every other field for values. Not written by `encodeModel`. */
  readonly stored?: StoredBytes;
  readonly dims?: readonly bigint[];
  readonly dataType?: number;
  readonly segment?: TensorSegment;
  readonly floatData?: Float32Array;
  readonly int32Data?: Int32Array;
  readonly stringData?: readonly Uint8Array[];
  readonly int64Data?: BigInt64Array;
  readonly name?: string;
  readonly rawData?: Uint8Array;
  readonly doubleData?: Float64Array;
  readonly uint64Data?: BigUint64Array;
  readonly docString?: string;
  readonly externalData?: readonly StringStringEntryProto[];
  readonly dataLocation?: number;
  readonly metadataProps?: readonly StringStringEntryProto[];
}

export interface TensorSegment extends UnknownFields {
  readonly begin?: bigint;
  readonly end?: bigint;
}

export interface SparseTensorProto extends UnknownFields {
  readonly values?: TensorProto;
  readonly indices?: TensorProto;
  readonly dims?: readonly bigint[];
}

export interface ValueInfoProto extends UnknownFields {
  readonly name?: string;
  readonly type?: TypeProto;
  readonly docString?: string;
  readonly metadataProps?: readonly StringStringEntryProto[];
}

/** Exactly one of the `…Type` fields. */
export interface TypeProto extends UnknownFields {
  readonly tensorType?: TensorTypeProto;
  readonly sequenceType?: ElementTypeProto;
  readonly mapType?: MapTypeProto;
  readonly denotation?: string;
  readonly opaqueType?: OpaqueTypeProto;
  readonly sparseTensorType?: TensorTypeProto;
  readonly optionalType?: ElementTypeProto;
}

export interface TensorTypeProto extends UnknownFields {
  readonly elemType?: number;
  readonly shape?: TensorShapeProto;
}

export interface ElementTypeProto extends UnknownFields {
  readonly elemType?: TypeProto;
}

export interface MapTypeProto extends UnknownFields {
  readonly keyType?: number;
  readonly valueType?: TypeProto;
}

export interface OpaqueTypeProto extends UnknownFields {
  readonly domain?: string;
  readonly name?: string;
}

export interface TensorShapeProto extends UnknownFields {
  readonly dim?: readonly DimensionProto[];
}

/** A size, the name of a free size, or neither. */
export interface DimensionProto extends UnknownFields {
  readonly dimValue?: bigint;
  readonly dimParam?: string;
  readonly denotation?: string;
}

export interface OperatorSetIdProto extends UnknownFields {
  readonly domain?: string;
  readonly version?: bigint;
}

export interface StringStringEntryProto extends UnknownFields {
  readonly key?: string;
  readonly value?: string;
}

export interface TensorAnnotation extends UnknownFields {
  readonly tensorName?: string;
  readonly quantParameterTensorNames?: readonly StringStringEntryProto[];
}

export interface FunctionProto extends UnknownFields {
  readonly name?: string;
  readonly sinceVersion?: bigint;
  readonly status?: number;
  readonly input?: readonly string[];
  readonly output?: readonly string[];
  readonly attribute?: readonly string[];
  readonly node?: readonly NodeProto[];
  readonly docString?: string;
  readonly opsetImport?: readonly OperatorSetIdProto[];
  readonly domain?: string;
  readonly attributeProto?: readonly AttributeProto[];
  readonly valueInfo?: readonly ValueInfoProto[];
  readonly overload?: string;
  readonly metadataProps?: readonly StringStringEntryProto[];
}

export interface TrainingInfoProto extends UnknownFields {
  readonly initialization?: GraphProto;
  readonly algorithm?: GraphProto;
  readonly initializationBinding?: readonly StringStringEntryProto[];
  readonly updateBinding?: readonly StringStringEntryProto[];
}

export interface DeviceConfigurationProto extends UnknownFields {
  readonly name?: string;
  readonly numDevices?: number;
  readonly device?: readonly string[];
}

export interface NodeDeviceConfigurationProto extends UnknownFields {
  readonly configurationId?: string;
  readonly shardingSpec?: readonly ShardingSpecProto[];
  readonly pipelineStage?: number;
}

export interface ShardingSpecProto extends UnknownFields {
  readonly tensorName?: string;
  readonly device?: readonly bigint[];
  readonly indexToDeviceGroupMap?: readonly IntIntListEntryProto[];
  readonly shardedDim?: readonly ShardedDimProto[];
}

export interface IntIntListEntryProto extends UnknownFields {
  readonly key?: bigint;
  readonly value?: readonly bigint[];
}

export interface ShardedDimProto extends UnknownFields {
  readonly axis?: bigint;
  readonly simpleSharding?: readonly SimpleShardedDimProto[];
}

export interface SimpleShardedDimProto extends UnknownFields {
  readonly dimValue?: bigint;
  readonly dimParam?: string;
  readonly numShards?: bigint;
}
