/**
 * The declared purpose of a request. It is recorded, so it must be a word from known lists, not free text of the caller: the
 * configured purposes, and those named in the model's terms, the tenant's grants for the model, and the key's scopes.
 */
import { EdgewiseError } from '../../errors.ts';
import type { Purposes, Terms } from '../../repository/terms.ts';
import type { Caller } from '../accounts/caller.ts';

export const purposeHeader = 'Edgewise-Purpose';

/** The purposes that may be declared by default (`EDGEWISE_PURPOSES`). */
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

/** The sources of known purposes. */
export interface PurposeSources {
  readonly configured: readonly string[];
  readonly terms: Pick<Terms, 'purposes' | 'fieldsOfUse'>;
  readonly caller: Caller;
  /** Name of the model. */
  readonly model: string;
}

/**
 * Returns the purpose in the header's value, if it is known.
 *
 * @param value The header's value; undefined if it was not sent.
 * @throws EdgewiseError `invalid_request` for an unknown purpose, and for several: a request has one.
 */
export function parsePurpose(value: string | undefined, sources: PurposeSources): string | undefined {
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

/** A purpose may have the name of a field of use (`grants.ts`). */
function isNamed(purpose: string, { purposes, fieldsOfUse }: PurposeSources['terms']): boolean {
  return [purposes, fieldsOfUse].some(
    ({ permit, deny }: Purposes) => (permit !== '*' && permit.includes(purpose)) || deny.includes(purpose),
  );
}
