/** The messages of the Open Inference Protocol, as the API describes them. `protocol/oip` parses and encodes them. */
import { z } from '@hono/zod-openapi';
import { dataTypeNames } from '../../tensor/datatype.ts';

const parameters = z.record(z.string(), z.unknown());
const datatype = z.enum(dataTypeNames);
const tensorFields = {
  name: z.string(),
  shape: z.array(z.int().nonnegative()),
  datatype,
  parameters: parameters.optional(),
  data: z
    .array(z.unknown())
    .optional()
    .openapi({ description: 'Row-major elements, flat or nested to match the shape. Absent if binary.' }),
};

export const inferRequestSchema = z
  .object({
    id: z.string().optional().openapi({ description: 'Comes back unchanged.' }),
    parameters: parameters.optional(),
    inputs: z.array(z.object(tensorFields)),
    outputs: z.array(z.object({ name: z.string(), parameters: parameters.optional() })).optional(),
  })
  .openapi('InferRequest');

export const inferResponseSchema = z
  .object({
    model_name: z.string(),
    model_version: z.string(),
    id: z.string().optional(),
    parameters: parameters.optional(),
    outputs: z.array(z.object(tensorFields)),
  })
  .openapi('InferResponse');

export const serverMetadataSchema = z
  .object({ name: z.string(), version: z.string(), extensions: z.array(z.string()).readonly() })
  .openapi('ServerMetadata');

const tensorMetadata = z.object({
  name: z.string(),
  datatype: z.string(),
  shape: z.array(z.int()).readonly(),
});

export const modelMetadataSchema = z
  .object({
    name: z.string(),
    versions: z.array(z.string()).readonly().optional(),
    platform: z.string(),
    inputs: z.array(tensorMetadata).readonly(),
    outputs: z.array(tensorMetadata).readonly(),
  })
  .openapi('ModelMetadata');

const configTensor = {
  name: z.string(),
  data_type: z.string(),
  dims: z.array(z.int()).readonly(),
  is_shape_tensor: z.literal(false),
};

export const oipConfigSchema = z
  .object({
    name: z.string(),
    platform: z.literal('onnxruntime_onnx'),
    backend: z.literal('onnxruntime'),
    version_policy: z.union([
      z.object({ latest: z.object({ num_versions: z.int() }) }),
      z.object({ all: z.looseObject({}) }),
      z.object({ specific: z.object({ versions: z.array(z.int()).readonly() }) }),
    ]),
    max_batch_size: z.int(),
    dynamic_batching: z
      .object({
        preferred_batch_size: z.array(z.int()).readonly(),
        max_queue_delay_microseconds: z.int(),
      })
      .optional(),
    input: z
      .array(
        z.object({
          ...configTensor,
          format: z.literal('FORMAT_NONE'),
          allow_ragged_batch: z.literal(false),
          optional: z.literal(false),
        }),
      )
      .readonly(),
    output: z.array(z.object({ ...configTensor, label_filename: z.literal('') })).readonly(),
  })
  .openapi('ModelConfig');

const duration = z.object({ count: z.int(), ns: z.int() });
const stages = [
  'success',
  'fail',
  'queue',
  'compute_input',
  'compute_infer',
  'compute_output',
  'cache_hit',
  'cache_miss',
] as const;

export const statisticsSchema = z
  .object({
    model_stats: z
      .array(
        z.object({
          name: z.string(),
          version: z.string(),
          last_inference: z
            .int()
            .openapi({ description: 'Milliseconds since 1970; 0 before the first request.' }),
          inference_count: z.int().openapi({ description: 'Rows: a request with a batch of 4 counts 4.' }),
          execution_count: z.int().openapi({ description: 'Runs of the model.' }),
          inference_stats: z.record(z.enum(stages), duration),
          response_stats: z.strictObject({}),
          batch_stats: z
            .array(
              z.object({
                batch_size: z.int(),
                compute_input: duration,
                compute_infer: duration,
                compute_output: duration,
              }),
            )
            .readonly(),
          memory_usage: z
            .array(z.object({ type: z.enum(['CPU', 'CPU_PINNED', 'GPU']), id: z.int(), byte_size: z.int() }))
            .readonly(),
        }),
      )
      .readonly(),
  })
  .openapi('Statistics');
