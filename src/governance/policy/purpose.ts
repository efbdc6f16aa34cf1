/**
 * What a request is for, as its caller declares it. The declaration stands in the record, so it is a word of a closed list
 * and no text of the caller's own: of the configured words, and of those that the operator or the publisher wrote into the
 * model's terms, the tenant's grants for it, and the scopes of the key.
 */
import { EdgewiseError } from '../../errors.ts';
import type { Purposes, Terms } from '../../repository/terms.ts';
import type { Caller } from '../accounts/caller.ts';

export const purposeHeader = 'Edgewise-Purpose';

/** The words that may be declared where the configuration says nothing else (`EDGEWISE_PURPOSES`). */
export const defaultPurposes: readonly string[] = [
  'research',
  'education',
  'evaluation',
  'development',
  'production',
  'internal',
  'personal',
  'commercial',
  'marketing',
  'advertising',
  'statistics',
  'security',
  'healthcare',
  'public-sector',
];

/** Where the words of a declaration may come from. */
export interface PurposeSources {
  readonly configured: readonly string[];
  readonly terms: Pick<Terms, 'purposes' | 'fieldsOfUse'>;
  readonly caller: Caller;
  /** Name of the model. */
  readonly model: string;
}

/**
 * @param value Of the header; undefined: none was sent.
 * @throws EdgewiseError `invalid_request` for a word that is in no list, several words among them: a request is for one.
 */
export function declaredPurpose(value: string | undefined, sources: PurposeSources): string | undefined {
  if (value === undefined || isKnown(value, sources)) return value;
  const { configured, model } = sources;
  throw new EdgewiseError(
    'invalid_request',
    `the header ${purposeHeader} has a purpose that is not known here; expected one of ${configured.join(', ') || 'none'}, or one that the terms of "${model}", a grant for it or the key names. An operator adds others with EDGEWISE_PURPOSES`,
  );
}

function isKnown(purpose: string, { caller, configured, model, terms }: PurposeSources): boolean {
  if (configured.includes(purpose) || isNamed(purpose, terms)) return true;
  if (caller.kind !== 'tenant') return false;
  const { scopes, tenant } = caller;
  return (
    scopes.defaultPurpose === purpose ||
    (scopes.purposes !== '*' && scopes.purposes.includes(purpose)) ||
    tenant.grants.some((grant) => grant.model === model && isNamed(purpose, grant))
  );
}

/** A purpose may be a field of use by its name (`grants.ts`). */
function isNamed(purpose: string, { purposes, fieldsOfUse }: PurposeSources['terms']): boolean {
  return [purposes, fieldsOfUse].some(
    ({ permit, deny }: Purposes) => (permit !== '*' && permit.includes(purpose)) || deny.includes(purpose),
  );
}
