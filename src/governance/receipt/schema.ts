/**
 * The schema of receipts. A receipt documents one answer, refusal, acceptance or verdict without any content of request or
 * answer. It is canonical JSON (RFC 8785), signed as a compact JWS (RFC 7515) with Ed25519. `docs/governance.md` says what
 * each field proves.
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
      `expected base64url of ${bytes} bytes`,
    );

/** UUIDs of version 7 (RFC 9562 §5.7): the first 48 bits are the time in milliseconds. */
export const receiptIdForm = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

export const receiptIdSchema = z.uuid({ version: 'v7' });

const envelope = {
  schema: z.literal(receiptSchemaId),
  id: receiptIdSchema,
  /** The operator's name or address. */
  issuer: z.string().min(1).max(200),
  /** Time of the request's arrival. */
  at: z.iso.datetime(),
  /** Origin of the log that records the receipt. */
  log: z.string().min(1).max(200),
  /** Pseudonyms: ids that the operator assigned. */
  caller: z.strictObject({ tenant: z.string().optional(), credential: z.string().optional() }),
};

const modelSchema = z.strictObject({
  name: z.string(),
  version: z.string(),
  /** Root digest of its OpenSSF Model Signing statement, which identifies the model. */
  root: digestSchema,
  manifest: digestSchema,
  /** Digest of the signature bundle. */
  bundle: digestSchema,
  /** Name of the trusted key that verified the bundle. */
  signer: z.string(),
});

const decisionSchema = z.strictObject({
  action: actionSchema,
  outcome: z.enum(['permitted', 'refused']),
  /** The error code of a refusal, and the missing right. */
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
/** Salted SHA-256 over the canonical bytes of the tensors (`commitment.ts`). Only the caller receives the salt. */
const committedSchema = z.strictObject({ commitment: base64url(32), tensors: z.array(tensorSchema) });

/** `exact`: a re-run gives the same bytes. `tolerance`: equal within a stated tolerance. `none`: no promise. */
export const reproducibilitySchema = z.enum(['exact', 'tolerance', 'none']);

const routeSchema = z.strictObject({
  tier: tierSchema,
  reason: z.string(),
  jurisdiction: z.string().optional(),
  /** Version of Edgewise. */
  code: z.string(),
  /** The runtime that computed the answer; for an origin, as the origin reports it. */
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

/** The other content of the log's entry beside the receipt's hash: the meter's tag and the units. */
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
      /** Absent if the answer was streamed through without being read. */
      outputs: committedSchema.optional(),
      /** How the salts of the two sides derive from the secret. Absent in older receipts, where the secret is both salts. */
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
    /** SHA-256 over a salt, kept in the tenant's record, and the name of the person who accepted: erasable, yet provable. */
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
    /** SHA-256 of the disputed receipt's compact JWS. */
    hash: digestSchema,
    verdict: verdictSchema,
    /** The reason, unless the verdict is `reproduced_exact`. */
    detail: z.string().max(500).optional(),
    /** Difference of the value that uses the largest share of its tolerance, or exceeds it most. */
    maxDifference: z.number().nonnegative().optional(),
    /** Tolerance of that value. */
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
export type ReceiptModel = z.output<typeof modelSchema>;
export type ReceiptRoute = z.output<typeof routeSchema>;
export type Reproducibility = z.output<typeof reproducibilitySchema>;
export type Receipt = z.output<typeof receiptSchema>;
export type InferenceReceipt = z.output<typeof inferenceReceiptSchema>;
export type AcceptanceReceipt = z.output<typeof acceptanceReceiptSchema>;
export type VerdictReceipt = z.output<typeof verdictReceiptSchema>;
