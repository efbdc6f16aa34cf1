/** Parameters of paths and queries that several routes have. */
import { z } from '@hono/zod-openapi';
import { aliasSchema, digestSchema, nameSchema } from '../../repository/common-schema.ts';
import { maxPageModels } from '../../repository/index/listing.ts';
import { nameForms } from '../../repository/name.ts';

export const modelName = nameSchema.meta({
  description: 'The name of a model. The slash of `org/model` may be escaped as `%2F`.',
  pattern: nameForms.model,
});

/** A version for reading: what names no version is not found. */
export const versionOrAlias = z.string().min(1).openapi({ description: 'A version or an alias.' });

export const digest = digestSchema.meta({ description: '`sha256:` and 64 hexadecimal digits.' });

export const modelParams = z.object({ name: modelName });
export const versionParams = z.object({ name: modelName, version: versionOrAlias });
export const aliasParams = z.object({ name: modelName, alias: aliasSchema });

/** The id of a tenant, a key, a grant or an acceptance. What names none is not found. */
export const accountId = z.string().min(1);
export const tenantParams = z.object({ tenant: accountId });
export const grantParams = z.object({ grant: accountId });

/** A time in UTC. The schema of stored times describes them as RFC 3339 does, which allows other zones. */
export const utcTime = z.iso.datetime().meta({ pattern: 'Z$' });

/** A whole number in decimal digits, as a query has it. */
export function wholeNumber(min: number, max: number, description: string) {
  return z
    .string()
    .regex(/^(?:0|[1-9][0-9]{0,15})$/, `expected a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `expected a whole number from ${min} to ${max}`)
    .openapi({ type: 'integer', minimum: min, maximum: max, description });
}

export const pageQuery = z.object({
  limit: wholeNumber(1, maxPageModels, 'The number of models on a page.').optional(),
  after: z.string().optional().openapi({ description: 'The name of the last model on the page before.' }),
});
export type PageQuery = z.output<typeof pageQuery>;
