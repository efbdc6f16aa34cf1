/** What a credential is for. Pure: the gate asks here, and so do the routes that show models. */
import { matchesModel } from '../../repository/name.ts';
import { type AccountAccess, type Action, accountAccessSchema, type Scopes } from './schema.ts';

export function coversModel({ models }: Scopes, name: string): boolean {
  return models.some((pattern) => matchesModel(pattern, name));
}

export function coversAction({ actions }: Scopes, action: Action): boolean {
  return actions.includes(action);
}

/** A request that declares none, and whose credential stands for none, is covered by no list. */
export function coversPurpose({ purposes }: Scopes, purpose: string | undefined): boolean {
  return purposes === '*' || (purpose !== undefined && purposes.includes(purpose));
}

export function coversAccount({ account }: Scopes, wanted: AccountAccess): boolean {
  return rankOf(account) >= rankOf(wanted);
}

/** The lesser of two. */
export function lesserAccess(a: AccountAccess, b: AccountAccess): AccountAccess {
  return rankOf(a) <= rankOf(b) ? a : b;
}

function rankOf(access: AccountAccess): number {
  return accountAccessSchema.options.indexOf(access);
}

/** Model patterns that cover exactly what both lists cover. */
export function intersectModels(a: readonly string[], b: readonly string[]): string[] {
  const common = a.flatMap((one) => b.flatMap((other) => narrower(one, other) ?? []));
  return [...new Set(common)];
}

/** Of two patterns the one within the other; undefined where they have no model in common. */
function narrower(a: string, b: string): string | undefined {
  if (isWithin(a, b)) return a;
  return isWithin(b, a) ? b : undefined;
}

function isWithin(inner: string, outer: string): boolean {
  // `matchesModel` takes `org/*` for a name of that organisation, which is what is wanted here.
  return inner === '*' ? outer === '*' : matchesModel(outer, inner);
}

/** Purposes that are in both choices. */
export function intersectPurposes(a: Scopes['purposes'], b: Scopes['purposes']): Scopes['purposes'] {
  if (a === '*') return b;
  return b === '*' ? a : a.filter((purpose) => b.includes(purpose));
}
