/**
 * A receipt: what one answer, refusal, acceptance or verdict was, without anything of what was sent or answered. Canonical
 * JSON (RFC 8785) signed as a compact JWS (RFC 7515) with Ed25519. Fields and what each proves: `docs/governance.md`.
 */
import { z } from 'zod';
import { errorCodes } from '../../errors.ts';
import { digestSchema, tierSchema } from '../../repository/common-schema.ts';
import { actionSchema } from '../accounts/schema.ts';
import { saltsForm } from './commitment.ts';

export const receiptSchemaId = 'edgewise.receipt.v1';
/** `typ` of the JWS header. */
export const receiptType = 'edgewise-receipt+jws';

const base64url = (bytes: number) =>
  z
    .string()
    .regex(
      new RegExp(`^[A-Za-z0-9_-]{${Math.ceil((bytes * 4) / 3)}}$`),
      `wanted base64url of ${bytes} bytes`,
    );

/** UUIDs of version 7 (RFC 9562 §5.7): the first 48 bits are the time in milliseconds. */
export const receiptIdForm = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

export const receiptIdSchema = z.uuid({ version: 'v7' });

const envelope = {
  schema: z.literal(receiptSchemaId),
  id: receiptIdSchema,
  /** Who answers for it: the operator's name or address. */
  issuer: z.string().min(1).max(200),
  /** Of the request's arrival. */
  at: z.iso.datetime(),
  /** Origin of the log that it goes into. */
  log: z.string().min(1).max(200),
  /** Pseudonyms: ids that the operator gave. */
  caller: z.strictObject({ tenant: z.string().optional(), credential: z.string().optional() }),
};

const modelSchema = z.strictObject({
  name: z.string(),
  version: z.string(),
  /** Root digest of its OpenSSF Model Signing statement: the model's id. */
  root: digestSchema,
  manifest: digestSchema,
  /** Of the signature bundle, and the name of the trusted key that it was verified with. */
  bundle: digestSchema,
  signer: z.string(),
});

const decisionSchema = z.strictObject({
  action: actionSchema,
  outcome: z.enum(['permitted', 'refused']),
  /** Why it was refused, and the right that was missing. */
  code: z.enum(errorCodes).optional(),
  right: z.string().max(300).optional(),
  purpose: z.string().optional(),
  territory: z.string().optional(),
  grant: z.strictObject({ id: z.string(), digest: digestSchema }).optional(),
  acceptance: z.string().optional(),
  /** Policy packs in force. */
  packs: z.array(z.strictObject({ id: z.string(), digest: digestSchema })),
});

const licenceSchema = z.strictObject({ spdx: z.string(), text: digestSchema });

const tensorSchema = z.strictObject({ name: z.string(), datatype: z.string(), shape: z.array(z.int()) });
/** SHA-256 under the salt that only the caller is given, over the canonical bytes of the tensors (`commitment.ts`). */
const committedSchema = z.strictObject({ commitment: base64url(32), tensors: z.array(tensorSchema) });

/** `exact`: a re-run gives the same bytes. `tolerance`: the same within a stated tolerance. `none`: it need not. */
export const reproducibilitySchema = z.enum(['exact', 'tolerance', 'none']);

const routeSchema = z.strictObject({
  tier: tierSchema,
  reason: z.string(),
  jurisdiction: z.string().optional(),
  /** Of Edgewise. */
  code: z.string(),
  /** What computed it; of an origin only what it says of itself. */
  runtime: z
    .strictObject({
      name: z.string(),
      version: z.string(),
      /** Digest of the WASM file. */
      wasm: digestSchema.optional(),
      threads: z.int().optional(),
    })
    .optional(),
  reproducibility: reproducibilitySchema,
});

/** What the log's entry says beside the receipt's hash: whose meter, and how much. */
const meterSchema = z.strictObject({ tag: base64url(16), units: z.int().min(0).max(0xffff_ffff) });

export const canonicalForm = 'edgewise.tensors.v1';

export const inferenceReceiptSchema = z.strictObject({
  ...envelope,
  kind: z.literal('inference'),
  model: modelSchema,
  licence: licenceSchema,
  decision: decisionSchema,
  route: routeSchema,
  data: z
    .strictObject({
      form: z.literal(canonicalForm),
      inputs: committedSchema,
      /** Absent where the answer was streamed through, unread. */
      outputs: committedSchema.optional(),
      /** How the salts of the two sides come from the secret; absent in older receipts: it is the salt of both. */
      salts: z.literal(saltsForm).optional(),
    })
    .optional(),
  handling: z.strictObject({ retention: z.literal('none'), trainingUse: z.literal(false) }),
  marks: z.strictObject({ aiLabel: z.boolean(), attribution: z.string().optional() }),
  meter: meterSchema,
});

export const refusalReceiptSchema = z.strictObject({
  ...envelope,
  kind: z.literal('refusal'),
  model: modelSchema,
  licence: licenceSchema,
  decision: decisionSchema,
  meter: meterSchema,
});

export const acceptanceReceiptSchema = z.strictObject({
  ...envelope,
  kind: z.literal('acceptance'),
  acceptance: z.strictObject({
    id: z.string(),
    model: z.string(),
    spdx: z.string(),
    text: digestSchema,
    /** SHA-256 over a salt, which the tenant's record holds, and the name of who accepted: erasable, and still provable. */
    by: base64url(32),
    method: z.enum(['click', 'contract', 'api']),
    outcome: z.enum(['accepted', 'withdrawn']),
  }),
  meter: meterSchema,
});

export const verdictSchema = z.enum([
  'reproduced_exact',
  'reproduced_within',
  'not_reproduced',
  'class_not_reproducible',
  'evidence_missing',
]);
export type Verdict = z.output<typeof verdictSchema>;

export const verdictReceiptSchema = z.strictObject({
  ...envelope,
  kind: z.literal('verdict'),
  dispute: z.strictObject({
    receipt: receiptIdSchema,
    /** SHA-256 of the disputed receipt as signed. */
    hash: digestSchema,
    verdict: verdictSchema,
    /** Why, where it is not `reproduced_exact`. */
    detail: z.string().max(500).optional(),
    /** Of the value that uses most of what it may differ by, or is furthest beyond it: by how much it does, and may. */
    maxDifference: z.number().nonnegative().optional(),
    tolerance: z.number().nonnegative().optional(),
  }),
  meter: meterSchema,
});

export const receiptSchema = z.discriminatedUnion('kind', [
  inferenceReceiptSchema,
  refusalReceiptSchema,
  acceptanceReceiptSchema,
  verdictReceiptSchema,
]);
export type ReceiptKind = Receipt['kind'];
export type ReceiptModel = z.output<typeof modelSchema>;
export type ReceiptLicence = z.output<typeof licenceSchema>;
export type ReceiptDecision = z.output<typeof decisionSchema>;
export type ReceiptRoute = z.output<typeof routeSchema>;
export type ReceiptTensor = z.output<typeof tensorSchema>;
export type Reproducibility = z.output<typeof reproducibilitySchema>;
export type Receipt = z.output<typeof receiptSchema>;
export type InferenceReceipt = z.output<typeof inferenceReceiptSchema>;
export type RefusalReceipt = z.output<typeof refusalReceiptSchema>;
export type AcceptanceReceipt = z.output<typeof acceptanceReceiptSchema>;
export type VerdictReceipt = z.output<typeof verdictReceiptSchema>;
