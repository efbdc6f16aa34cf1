/** Forms of what those whose data it is are given. */
import { z } from 'zod';
import { accountIdSchema, shownKeySchema, tenantSchema } from '../accounts/schema.ts';

export const erasureSchemaId = 'edgewise.erasure.v1';

/** `erasures/<tenant>.json` */
export const erasureSchema = z.strictObject({
  schema: z.literal(erasureSchemaId),
  tenant: accountIdSchema,
  requestedAt: z.iso.datetime(),
  /** When the last step was done. Absent: it was cut off, and is to be asked for again. */
  erasedAt: z.iso.datetime().optional(),
  /** From when on no copy of the storage that the platform, or the operator, could bring back holds anything of it. */
  erasureCompleteAt: z.iso.datetime().optional(),
});
export type Erasure = z.output<typeof erasureSchema>;

export const recipientSchema = z.object({
  category: z.literal('inference-server'),
  /** Whose law it stands under; null: not bound to one. */
  jurisdiction: z.string().nullable(),
  region: z.string().nullable(),
});
/** Who receives what callers send, beside the server that they sent it to. Addresses and names of machines are not told. */
export type Recipient = z.output<typeof recipientSchema>;

export const processingSchema = z.object({
  data: z.string(),
  purpose: z.string(),
  /** `none`: gone with the answer. `until-erased`: until the tenant is erased. `permanent`: says of nobody whose it is. */
  retention: z.enum(['none', 'minutes', 'until-erased', 'permanent']),
  protection: z.string(),
});
export type Processing = z.output<typeof processingSchema>;

export const notKeptSchema = z.object({ data: z.string(), because: z.string() });

export const exportSchemaId = 'edgewise.export.v1';

/** Compact JWS, as signed. */
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
    /** Where to go on (`from`); null: these were the last. */
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
  /** Whose law this server and its storage stand under; null: not bound to one. */
  jurisdiction: z.string().nullable(),
  processing: z.array(processingSchema),
  /** What is kept nowhere, and why. */
  notKept: z.array(notKeptSchema),
  recipients: z.array(recipientSchema),
  trainingUse: z.literal(false),
  periods: z.object({
    /** Until a right that was taken back, or a key that was destroyed, is without effect everywhere. */
    effectSeconds: z.number(),
    /** How long what was erased could be brought back from copies of storage. */
    recoveryWindowDays: z.number(),
  }),
  rights: z.object({ access: z.string(), portability: z.string(), erasure: z.string() }),
});
export type PrivacyNotice = z.output<typeof noticeSchema>;
