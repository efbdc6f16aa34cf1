/** Tenants, keys and grants as text for people. */
import type { Grant, Scopes, ShownKey, Tenant } from '../../governance/accounts/schema.ts';
import { table } from './tables.ts';

export function tenantList(tenants: readonly Tenant[]): string {
  if (tenants.length === 0) return 'there are no tenants';
  return table([
    ['TENANT', 'NAME', 'ESTABLISHED', 'RESIDENCY', 'KEYS', 'GRANTS', 'STATE'],
    ...tenants.map(({ id, name, establishment, residency, keys, grants, status }) => [
      id,
      name,
      establishment ?? '–',
      residency ?? '–',
      String(keys.length),
      String(grants.filter((grant) => grant.status === 'active').length),
      status,
    ]),
  ]);
}

export function tenantDetails(tenant: Tenant): string {
  const { acceptances, grants } = tenant;
  const rows = table([
    ['tenant', tenant.id],
    ['name', tenant.name],
    ['state', tenant.status],
    ['established', tenant.establishment ?? '–'],
    ['residency', tenant.residency ?? '–'],
    ['fields of use', tenant.fieldsOfUse.join(', ') || '–'],
    ['created', tenant.createdAt],
    ['keys', String(tenant.keys.length)],
  ]);
  const accepted = table([
    ['ACCEPTED', 'LICENCE', 'TEXT', 'BY', 'HOW', 'WHEN', 'WITHDRAWN'],
    ...acceptances.map(({ model, spdx, text, by, method, at, withdrawnAt }) => [
      model,
      spdx,
      text,
      by,
      method,
      at,
      withdrawnAt ?? '–',
    ]),
  ]);
  return [rows, grants.length > 0 ? grantList(grants) : '', acceptances.length > 0 ? accepted : '']
    .filter((part) => part !== '')
    .join('\n\n');
}

export function keyList(keys: readonly ShownKey[]): string {
  if (keys.length === 0) return 'there are no keys';
  return table([
    ['KEY', 'MODELS', 'ACTIONS', 'PURPOSES', 'ACCOUNT', 'RATE', 'CREATED', 'ENDS', 'STATE'],
    ...keys.map(({ id, scopes, createdAt, notAfter, previousUntil, revokedAt }) => [
      id,
      scopes.models.join(', '),
      actionsText(scopes),
      scopes.purposes === '*' ? 'any' : scopes.purposes.join(', '),
      scopes.account,
      scopes.rate === undefined ? '–' : `${scopes.rate.requests}/${scopes.rate.perSeconds}s`,
      createdAt,
      notAfter ?? '–',
      keyState(revokedAt, previousUntil),
    ]),
  ]);
}

function actionsText({ actions, repository }: Scopes): string {
  return [...actions, ...(repository === 'read' ? ['reads the repository'] : [])].join(', ');
}

function keyState(revokedAt: string | undefined, previousUntil: string | undefined): string {
  if (revokedAt !== undefined) return `revoked ${revokedAt}`;
  return previousUntil === undefined ? 'active' : `active, old secret until ${previousUntil}`;
}

export function grantList(grants: readonly Grant[]): string {
  if (grants.length === 0) return 'there are no grants';
  return table([
    ['GRANT', 'MODEL', 'ACTIONS', 'PURPOSES', 'TERRITORIES', 'FROM', 'UNTIL', 'QUOTA', 'ROYALTY', 'STATE'],
    ...grants.map((grant) => [
      grant.id,
      grant.model,
      grant.actions.join(', '),
      choiceText(grant.purposes),
      choiceText(grant.territories),
      grant.notBefore ?? '–',
      grant.notAfter ?? '–',
      grant.quota === undefined ? '–' : `${grant.quota.units}/${grant.quota.per}`,
      grant.royalty === undefined ? '–' : `${grant.royalty.amount} ${grant.royalty.currency}`,
      grant.status,
    ]),
  ]);
}

function choiceText({ permit, deny }: Grant['purposes']): string {
  const permitted = permit === '*' ? 'all' : permit.join(', ');
  return deny.length === 0 ? permitted : `${permitted}, not ${deny.join(', ')}`;
}
