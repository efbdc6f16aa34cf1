/**
 * The stored form of tenants, keys, grants and acceptances. A tenant's document holds its grants and acceptances, so that a
 * decision needs only one read; a key's document names its tenant.
 */
import { z } from 'zod';
import { digestSchema } from '../../repository/common-schema.ts';
import { isModelName, isModelPattern, nameForms } from '../../repository/name.ts';
import { purposeSchema, territorySchema, usageFields } from '../../repository/terms.ts';

/** The form of the ids of tenants, keys, grants and acceptances. */
export const accountIdForm = /^[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?$/;

export const accountIdSchema = z
  .string()
  .regex(accountIdForm, 'expected up to 48 lower-case letters, digits and dashes');

/** A model name, `org/*` or `*`. */
export const modelPatternSchema = z
  .string()
  .max(200)
  .refine(isModelPattern, 'expected the name of a model, "org/*" or "*"')
  .meta({ pattern: nameForms.modelPattern });

const modelNameSchema = z
  .string()
  .refine(isModelName, 'expected the name of a model')
  .meta({ pattern: nameForms.model });

export const actionSchema = z.enum(['infer', 'explain', 'download']);
export type Action = z.output<typeof actionSchema>;

/** Requests per 10 or 60 s, counted in the data centre where they arrive: protection, not governance. */
export const rateSchema = z.strictObject({
  requests: z.int().positive().max(1_000_000),
  perSeconds: z.union([z.literal(10), z.literal(60)]),
});
export type Rate = z.output<typeof rateSchema>;

/** Access to the account of the credential's own tenant. Each level includes the ones before it. */
export const accountAccessSchema = z.enum(['none', 'read', 'manage']);
export type AccountAccess = z.output<typeof accountAccessSchema>;

export const scopesSchema = z.strictObject({
  models: z.array(modelPatternSchema).min(1).max(256).default(['*']),
  actions: z.array(actionSchema).min(1).default(['infer', 'explain']),
  /** Purposes that may be declared with the credential; `*`: any. */
  purposes: z.union([z.literal('*'), z.array(purposeSchema).min(1).max(64)]).default('*'),
  /** The purpose of a request that declares none. */
  defaultPurpose: purposeSchema.optional(),
  rate: rateSchema.optional(),
  /**
   * `read`: blobs, indexes and manifests of every model over the admin routes, whatever licences say. For the operator's own
   * servers that pull models. Not an action, because licences permit actions.
   */
  repository: z.enum(['none', 'read']).default('none'),
  /**
   * `read`: the tenant's receipts, acceptances and statements; `manage`: also accepting licences in its name. Default `none`,
   * because a key for inference is often shared more widely.
   */
  account: accountAccessSchema.default('none'),
});
export type Scopes = z.output<typeof scopesSchema>;

export const apiKeySchemaId = 'edgewise.key.v1';
/** `accounts/keys/<id>.json`. Holds only a hash of the key. */
export const apiKeySchema = z.strictObject({
  schema: z.literal(apiKeySchemaId),
  id: accountIdSchema,
  tenant: accountIdSchema,
  /** SHA-256 (hex) of the whole key, `ew_<id>_<secret>`. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  /** The secret before the last rotation, valid until `until`. */
  previous: z.strictObject({ hash: z.string().regex(/^[0-9a-f]{64}$/), until: z.iso.datetime() }).optional(),
  scopes: scopesSchema,
  createdAt: z.iso.datetime(),
  notAfter: z.iso.datetime().optional(),
  revokedAt: z.iso.datetime().optional(),
});
export type ApiKey = z.output<typeof apiKeySchema>;

/** A key as the API shows it: without the hashes. */
export const shownKeySchema = apiKeySchema
  .omit({ hash: true, previous: true })
  .extend({ previousUntil: z.iso.datetime().optional() });
export type ShownKey = z.output<typeof shownKeySchema>;

/** Returns the key without its hashes. */
export function showKey({ hash: _, previous, ...key }: ApiKey): ShownKey {
  return { ...key, ...(previous === undefined ? {} : { previousUntil: previous.until }) };
}

/** One licence to use one model, given to one tenant: an ODRL agreement. */
export const grantSchema = z.strictObject({
  id: accountIdSchema,
  assigner: z.string().min(1).max(200),
  model: modelNameSchema,
  /** Root digest of the one version that the grant is for; absent: every version. */
  target: digestSchema.optional(),
  actions: z.array(actionSchema).min(1).default(['infer']),
  ...usageFields,
  /** Digest of the terms that a tenant attached when it passed the model on. */
  passOnTerms: digestSchema.optional(),
  status: z.enum(['active', 'suspended', 'revoked']).default('active'),
  createdAt: z.iso.datetime(),
});
export type Grant = z.output<typeof grantSchema>;

/** A change of a grant: an absent member stays as it is, null removes it. */
export interface GrantChange {
  readonly quota?: Grant['quota'] | null | undefined;
  readonly notBefore?: string | null | undefined;
  readonly notAfter?: string | null | undefined;
}

export const grantOwnerSchemaId = 'edgewise.grant-owner.v1';
/** `accounts/grants/<id>.json`: the tenant of a grant. Ids are unique over all tenants, since meters and receipts name only the id. */
export const grantOwnerSchema = z.strictObject({
  schema: z.literal(grantOwnerSchemaId),
  id: accountIdSchema,
  tenant: accountIdSchema,
});
export type GrantOwner = z.output<typeof grantOwnerSchema>;

/** A tenant's acceptance of a licence text: which text, accepted by whom, when and how. */
export const acceptanceSchema = z.strictObject({
  id: accountIdSchema,
  model: modelNameSchema,
  spdx: z.string().min(1).max(500),
  /** SHA-256 of the exact text that was accepted. */
  text: digestSchema,
  /** The person who accepted for the tenant, as they named themselves. */
  by: z.string().min(1).max(200),
  /** Salt of the commitment to that name in the receipt (`acceptance-commitment.ts`). */
  salt: z
    .string()
    .regex(/^[A-Za-z0-9_-]{43}$/)
    .optional(),
  method: z.enum(['click', 'contract', 'api']),
  at: z.iso.datetime(),
  /** Id of the receipt that records the acceptance in the log. */
  receipt: z.string().min(1).max(64).optional(),
  withdrawnAt: z.iso.datetime().optional(),
});
export type Acceptance = z.output<typeof acceptanceSchema>;

export const tenantSchemaId = 'edgewise.tenant.v1';
/** `accounts/tenants/<id>.json`. */
export const tenantSchema = z.strictObject({
  schema: z.literal(tenantSchemaId),
  id: accountIdSchema.refine(
    (id) => id !== 'anonymous',
    'expected another id: "anonymous" stands for unauthenticated callers',
  ),
  name: z.string().min(1).max(200),
  /** Country where the tenant is established; decides territories. */
  establishment: territorySchema.optional(),
  /** The tenant's data stays in this jurisdiction (`eu`); otherwise its requests are refused. */
  residency: z
    .string()
    .regex(/^[a-z][a-z-]{1,31}$/)
    .optional(),
  /** Fields that the tenant works in; compared with the fields of use that terms permit and deny. */
  fieldsOfUse: z.array(purposeSchema).max(64).default([]),
  status: z.enum(['active', 'suspended', 'erased']).default('active'),
  /** Ids of all keys issued to the tenant, revoked ones too. */
  keys: z.array(accountIdSchema).max(1000).default([]),
  grants: z.array(grantSchema).max(1000).default([]),
  acceptances: z.array(acceptanceSchema).max(1000).default([]),
  createdAt: z.iso.datetime(),
});
export type Tenant = z.output<typeof tenantSchema>;
