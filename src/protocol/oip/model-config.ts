/** The body of `GET /v2/models/{name}/config` (Triton, extension_model_configuration.md), as far as it applies here. */
import type { DataType } from '../../tensor/datatype.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';

export type ServedVersions =
  | { readonly latest: { readonly numVersions: number } }
  | { readonly all: object }
  | { readonly specific: { readonly versions: readonly string[] } };

export interface ModelConfigBody {
  readonly name: string;
  readonly platform: 'onnxruntime_onnx';
  readonly backend: 'onnxruntime';
  readonly version_policy:
    | { readonly latest: { readonly num_versions: number } }
    | { readonly all: object }
    | { readonly specific: { readonly versions: readonly number[] } };
  readonly max_batch_size: number;
  /** Absent if requests are not batched, or are batched with the defaults. */
  readonly dynamic_batching?: {
    readonly preferred_batch_size: readonly number[];
    readonly max_queue_delay_microseconds: number;
  };
  readonly input: readonly ConfigInput[];
  readonly output: readonly ConfigOutput[];
}

export interface ConfigTensor {
  readonly name: string;
  readonly data_type: `TYPE_${Exclude<DataType, 'BYTES'>}` | 'TYPE_STRING';
  /** Without the batch dimension if max_batch_size is above 0. */
  readonly dims: readonly number[];
}

/** Includes the members that Triton sends for each input, because clients read them without checking that they exist. */
export interface ConfigInput extends ConfigTensor {
  readonly format: 'FORMAT_NONE';
  readonly is_shape_tensor: false;
  readonly allow_ragged_batch: false;
  /** Every input is required. */
  readonly optional: false;
}

export interface ConfigOutput extends ConfigTensor {
  readonly label_filename: '';
  readonly is_shape_tensor: false;
}

const inputDefaults = {
  format: 'FORMAT_NONE',
  is_shape_tensor: false,
  allow_ragged_batch: false,
  optional: false,
} as const;
const outputDefaults = { label_filename: '', is_shape_tensor: false } as const;

export interface ModelConfigBodyOptions {
  readonly name: string;
  readonly maxBatchSize: number;
  readonly dynamicBatching?:
    | { readonly maxQueueDelayMicroseconds: number; readonly preferredBatchSizes: readonly number[] }
    | undefined;
  readonly versionPolicy: ServedVersions;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

export function modelConfigBody(options: ModelConfigBodyOptions): ModelConfigBody {
  const batched = options.maxBatchSize > 0;
  const { dynamicBatching } = options;
  return {
    name: options.name,
    platform: 'onnxruntime_onnx',
    backend: 'onnxruntime',
    version_policy: versionPolicyBody(options.versionPolicy),
    max_batch_size: options.maxBatchSize,
    ...(batched &&
      dynamicBatching && {
        dynamic_batching: {
          preferred_batch_size: dynamicBatching.preferredBatchSizes,
          max_queue_delay_microseconds: dynamicBatching.maxQueueDelayMicroseconds,
        },
      }),
    input: options.inputs.map((spec) => ({ ...configTensor(spec, batched), ...inputDefaults })),
    output: options.outputs.map((spec) => ({ ...configTensor(spec, batched), ...outputDefaults })),
  };
}

function configTensor({ name, datatype, shape }: TensorSpec, batched: boolean): ConfigTensor {
  return {
    name,
    data_type: datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`,
    dims: batched ? shape.slice(1) : shape,
  };
}

function versionPolicyBody(policy: ServedVersions): ModelConfigBody['version_policy'] {
  if ('latest' in policy) return { latest: { num_versions: policy.latest.numVersions } };
  if ('specific' in policy) return { specific: { versions: policy.specific.versions.map(Number) } };
  return { all: {} };
}
