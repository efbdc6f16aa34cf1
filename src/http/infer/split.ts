import type { Caller } from '../../governance/accounts/caller.ts';
import { findSplit } from '../../repository/index/served.ts';
import { defaultAlias } from '../../repository/index/version-policy.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import type { TrafficTarget } from '../../repository/schema.ts';
import { chooseArm } from '../../routing/split.ts';
import type { AppContext } from '../context.ts';

const sessionIdForm = /^[A-Za-z0-9._:/+=-]{1,128}$/;

/**
 * What keeps a caller in one arm: the key, else the session that the caller names, else nothing (each request by itself).
 * Wanted only where the model has splits: it costs a look at the headers.
 */
export function stickyKeyOf(caller: Caller, c: AppContext): string {
  if (caller.kind !== 'anonymous') return caller.id;
  const session = c.req.header('x-session-id');
  return session !== undefined && sessionIdForm.test(session) ? session : c.get('requestId');
}

/**
 * Where the request goes by the split of the alias that it names; one that names nothing goes by that of `stable`.
 * Undefined where there is no split: what the alias points to, wherever placement has it run.
 */
export function splitOf(
  { index }: ResolvedModel,
  alias: string | undefined,
  stickyKey: string,
): TrafficTarget | undefined {
  if (index.splits === undefined) return undefined;
  const name = alias ?? defaultAlias;
  const split = findSplit(index, name);
  // Model and alias are part of the key, or the same callers would be the first to try every canary.
  return split && chooseArm(split.arms, `${index.name} ${name} ${stickyKey}`);
}
