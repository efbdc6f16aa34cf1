/** Stage 2: which version of the model answers, and in which tier if the alias splits its traffic. */
import { toEdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { findSplit } from '../../repository/index/served.ts';
import { defaultAlias } from '../../repository/index/version-policy.ts';
import type { ModelRepository, ResolvedModel } from '../../repository/model-repository.ts';
import type { TrafficTarget } from '../../repository/schema.ts';
import { chooseArm } from '../../routing/split.ts';
import type { AppContext } from '../context.ts';
import type { IdentifiedRequest, ResolvedRequest } from './request.ts';

const sessionIdForm = /^[A-Za-z0-9._:/+=-]{1,128}$/;

/** @throws EdgewiseError as `ModelRepository.resolve` */
export async function resolve(request: IdentifiedRequest): Promise<ResolvedRequest> {
  const { c, caller, name, services, versionOrAlias } = request;
  const { repository } = services;
  const named = await repository.resolve(name, versionOrAlias);
  // Without splits the headers need not be read.
  if (named.index.splits === undefined) return { ...request, model: named, split: undefined };
  const target = splitTarget(named, versionOrAlias, stickyKeyOf(caller, c));
  const model = target === undefined ? named : await resolveTarget(repository, named, target);
  return { ...request, model, split: target?.tier };
}

/**
 * Returns what keeps a caller in one arm of a split: the caller's key, else the session that the caller names, else
 * nothing lasting (each request by itself).
 */
export function stickyKeyOf(caller: Caller, c: AppContext): string {
  if (caller.kind !== 'anonymous') return caller.id;
  const session = c.req.header('x-session-id');
  return session !== undefined && sessionIdForm.test(session) ? session : c.get('requestId');
}

/**
 * Returns the target that the split of `alias` chooses; the alias is `stable` if the request names none. Undefined if the
 * alias has no split.
 */
export function splitTarget(
  { index }: ResolvedModel,
  alias: string | undefined,
  stickyKey: string,
): TrafficTarget | undefined {
  const name = alias ?? defaultAlias;
  const split = findSplit(index, name);
  // Model and alias are part of the key, or the same callers would be the first to try every canary.
  return split && chooseArm(split.arms, `${index.name} ${name} ${stickyKey}`);
}

/** Returns the target's version, or the model that the alias itself points to if that version was removed just now. */
async function resolveTarget(
  repository: ModelRepository,
  named: ResolvedModel,
  { version }: TrafficTarget,
): Promise<ResolvedModel> {
  const { manifest } = named;
  if (version === manifest.version) return named;
  try {
    return await repository.resolve(manifest.name, version);
  } catch (error) {
    if (toEdgewiseError(error).code !== 'version_not_found') throw error;
    return named;
  }
}
