/** Decides what a credential's scopes cover, and intersects scopes. Pure. */
import { matchesModel } from '../../repository/name.ts';
import { type AccountAccess, type Action, accountAccessSchema, type Scopes } from './schema.ts';

export function coversModel({ models }: Scopes, name: string): boolean {
  return models.some((pattern) => matchesModel(pattern, name));
}

export function coversAction({ actions }: Scopes, action: Action): boolean {
  return actions.includes(action);
}

/** No list of purposes covers a request without a purpose. */
export function coversPurpose({ purposes }: Scopes, purpose: string | undefined): boolean {
  return purposes === '*' || (purpose !== undefined && purposes.includes(purpose));
}

export function coversAccount({ account }: Scopes, required: AccountAccess): boolean {
  return rankOf(account) >= rankOf(required);
}

/** Returns the lesser of two levels of access. */
export function lesserAccess(a: AccountAccess, b: AccountAccess): AccountAccess {
  return rankOf(a) <= rankOf(b) ? a : b;
}

function rankOf(access: AccountAccess): number {
  return accountAccessSchema.options.indexOf(access);
}

/** Returns patterns that cover exactly the models that both lists cover. */
export function intersectModels(a: readonly string[], b: readonly string[]): string[] {
  const common = a.flatMap((one) => b.flatMap((other) => narrowerOf(one, other) ?? []));
  return [...new Set(common)];
}

/** Returns the pattern that lies within the other one; undefined if they have no model in common. */
function narrowerOf(a: string, b: string): string | undefined {
  if (isWithin(a, b)) return a;
  return isWithin(b, a) ? b : undefined;
}

function isWithin(inner: string, outer: string): boolean {
  // `matchesModel` treats the pattern `org/*` as a model of that organisation, as needed here.
  return inner === '*' ? outer === '*' : matchesModel(outer, inner);
}

/** Returns the purposes that are in both lists. */
export function intersectPurposes(a: Scopes['purposes'], b: Scopes['purposes']): Scopes['purposes'] {
  if (a === '*') return b;
  return b === '*' ? a : a.filter((purpose) => b.includes(purpose));
}
