/** Schemas of erasures, exports and the privacy notice. */
import { z } from 'zod';
import { accountIdSchema, shownKeySchema, tenantSchema } from '../accounts/schema.ts';

export const erasureSchemaId = 'edgewise.erasure.v1';

/** `erasures/<tenant>.json` */
export const erasureSchema = z.strictObject({
  schema: z.literal(erasureSchemaId),
  tenant: accountIdSchema,
  requestedAt: z.iso.datetime(),
  /** When the last step was completed. Absent: the erasure was cut off and must be requested again. */
  erasedAt: z.iso.datetime().optional(),
  /** From when no recoverable copy of the storage contains data of the tenant. */
  erasureCompleteAt: z.iso.datetime().optional(),
});
export type Erasure = z.output<typeof erasureSchema>;

export const recipientSchema = z.object({
  category: z.literal('inference-server'),
  /** The recipient's jurisdiction; null if not bound to one. */
  jurisdiction: z.string().nullable(),
  region: z.string().nullable(),
});
/** A recipient of callers' data other than the called server. Its address and host name are not revealed. */
export type Recipient = z.output<typeof recipientSchema>;

export const processingSchema = z.object({
  data: z.string(),
  purpose: z.string(),
  /** `none`: deleted with the answer. `until-erased`: until the tenant is erased. `permanent`: identifies no person. */
  retention: z.enum(['none', 'minutes', 'until-erased', 'permanent']),
  protection: z.string(),
});
export type Processing = z.output<typeof processingSchema>;

export const notKeptSchema = z.object({ data: z.string(), because: z.string() });

export const exportSchemaId = 'edgewise.export.v1';

/** `receipt` is the signed compact JWS. */
const exportedReceiptSchema = z.object({ id: z.string(), receipt: z.string() });
export type ExportedReceipt = z.output<typeof exportedReceiptSchema>;

export const exportSchema = z.object({
  schema: z.literal(exportSchemaId),
  exportedAt: z.iso.datetime(),
  /** With its grants and acceptances. */
  tenant: tenantSchema,
  /** Without their hashes. */
  keys: z.array(shownKeySchema),
  erasure: erasureSchema.nullable(),
  receipts: z.object({
    items: z.array(exportedReceiptSchema),
    /** The `from` of the next page; null on the last page. */
    next: z.int().nullable(),
  }),
  recipients: z.array(recipientSchema),
  processing: z.array(processingSchema),
  notKept: z.array(notKeptSchema),
});
export type TenantExport = z.output<typeof exportSchema>;

export const noticeSchemaId = 'edgewise.privacy.v1';

export const noticeSchema = z.object({
  schema: z.literal(noticeSchemaId),
  controller: z.object({ name: z.string(), contact: z.string().nullable() }),
  /** The jurisdiction of this server and its storage; null if not bound to one. */
  jurisdiction: z.string().nullable(),
  processing: z.array(processingSchema),
  /** Data that is not stored, and why. */
  notKept: z.array(notKeptSchema),
  recipients: z.array(recipientSchema),
  trainingUse: z.literal(false),
  periods: z.object({
    /** Time until a revoked right or a destroyed key has no effect anywhere. */
    effectSeconds: z.number(),
    /** How long erased data could be recovered from copies of the storage. */
    recoveryWindowDays: z.number(),
  }),
  rights: z.object({ access: z.string(), portability: z.string(), erasure: z.string() }),
});
export type PrivacyNotice = z.output<typeof noticeSchema>;
