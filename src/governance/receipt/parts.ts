/**
 * Formats the parts of a receipt as canonical JSON (RFC 8785): members ordered by the UTF-16 units of their names, no spaces,
 * strings as `JSON.stringify` writes them. Parts that are the same for many requests are formatted once. The others are
 * assembled as text, which takes a fraction of the time of canonicalizing.
 */
import type { RuntimeIdentity } from '../../engine/types.ts';
import type { Manifest } from '../../repository/schema.ts';
import { digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import type { Caller } from '../accounts/caller.ts';
import type { Action, Grant } from '../accounts/schema.ts';
import { canonicalJson } from '../canonical-json.ts';
import type { Decision, PackInForce, Permission } from '../policy/types.ts';
import { byCodePoints } from './code-points.ts';
import type { InferenceReceipt, ReceiptRoute, Reproducibility } from './schema.ts';

/** Canonical JSON of one value. */
export type Fragment = string;

/** The model as resolved by the repository. `signed` is the same object while the version is loaded. */
export interface ModelFacts {
  readonly manifest: Pick<Manifest, 'name' | 'version' | 'terms'>;
  readonly manifestDigest: Digest;
  readonly signed: { readonly root: Digest; readonly bundle: Digest; readonly signer: string };
}

export interface RouteFacts {
  readonly tier: ReceiptRoute['tier'];
  readonly reason: string;
  /** Jurisdiction where the model ran, if known. */
  readonly jurisdiction: string | undefined;
  /** The runtime that computed the answer; undefined if an origin does not report it. */
  readonly runtime: RuntimeIdentity | undefined;
  readonly reproducibility: Reproducibility;
}

export interface DecisionFacts {
  readonly action: Action;
  readonly decision: Decision;
  /** Policy packs in force. */
  readonly packs: readonly Pick<PackInForce, 'id' | 'digest'>[];
}

/** Returns `format` with its results cached by `key`. */
function cacheByKey<K extends object>(format: (key: K) => Fragment): (key: K) => Fragment {
  const known = new WeakMap<K, Fragment>();
  return (key) => {
    const cached = known.get(key);
    if (cached !== undefined) return cached;
    const fragment = format(key);
    known.set(key, fragment);
    return fragment;
  };
}

export interface ModelParts {
  readonly model: Fragment;
  readonly licence: Fragment;
}

const modelParts = new WeakMap<ModelFacts['signed'], ModelParts>();

export function formatModel({ manifest, manifestDigest, signed }: ModelFacts): ModelParts {
  const known = modelParts.get(signed);
  if (known !== undefined) return known;
  const { name, version, terms } = manifest;
  const { root, bundle, signer } = signed;
  const parts = {
    model: canonicalJson({ name, version, root, manifest: manifestDigest, bundle, signer }),
    licence: canonicalJson({ spdx: terms.licence.spdx, text: terms.licence.text }),
  };
  modelParts.set(signed, parts);
  return parts;
}

/** Returns the caller's pseudonyms as the receipt names them. */
export function describeCaller(caller: Caller): InferenceReceipt['caller'] {
  switch (caller.kind) {
    case 'anonymous':
      return {};
    case 'tenant':
      return { credential: caller.id, tenant: caller.tenant.id };
    default:
      return { credential: caller.id };
  }
}

/** Takes the result of `describeCaller`, whose members are ordered by name. */
export function formatCaller(caller: InferenceReceipt['caller']): Fragment {
  return JSON.stringify(caller);
}

/** Returns a promise only for a grant that is seen for the first time, because its digest must be computed. */
export function formatDecision(facts: DecisionFacts): Fragment | Promise<Fragment> {
  const { grant } = facts.decision;
  if (grant === undefined) return formatDecisionWith(facts, '');
  const known = grantParts.get(grant);
  if (known !== undefined) return formatDecisionWith(facts, known);
  return formatGrant(grant).then((part) => formatDecisionWith(facts, part));
}

function formatDecisionWith({ action, decision, packs }: DecisionFacts, grant: string): Fragment {
  const { permitted, purpose, territory } = decision;
  const acceptance = permitted && decision.acceptance !== undefined;
  const head = acceptance ? `"acceptance":${JSON.stringify(decision.acceptance)},` : '';
  const code = permitted ? '' : `"code":"${decision.code}",`;
  const outcome = permitted ? 'permitted' : 'refused';
  const tail = `${optionalMember('purpose', purpose)}${optionalMember('right', permitted ? undefined : decision.right)}${optionalMember('territory', territory)}`;
  return `{${head}"action":"${action}",${code}${grant}"outcome":"${outcome}","packs":${formatPacks(packs)}${tail}}`;
}

function optionalMember(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`;
}

const formatPacks = cacheByKey((packs: DecisionFacts['packs']) =>
  canonicalJson(packs.map(({ digest, id }) => ({ digest, id }))),
);

const grantParts = new WeakMap<Grant, string>();

/** Formats the member `grant`: its id, and SHA-256 over the canonical JSON of its current state. */
async function formatGrant(grant: Grant): Promise<string> {
  const digest = await digestOf(new Uint8Array(new TextEncoder().encode(canonicalJson(grant))));
  const part = `"grant":{"digest":"${digest}","id":${JSON.stringify(grant.id)}},`;
  grantParts.set(grant, part);
  return part;
}

/** @param code Version of Edgewise. */
export function formatRoute(route: RouteFacts, code: string): Fragment {
  const { tier, reason, jurisdiction, runtime, reproducibility } = route;
  const runtimeMember = runtime === undefined ? '' : `,"runtime":${formatRuntime(runtime)}`;
  return `{"code":${JSON.stringify(code)}${optionalMember('jurisdiction', jurisdiction)},"reason":${JSON.stringify(reason)},"reproducibility":"${reproducibility}"${runtimeMember},"tier":"${tier}"}`;
}

const formatRuntime = cacheByKey(({ name, version, wasm, threads }: RuntimeIdentity) =>
  canonicalJson({ name, version, wasm, threads }),
);

export function formatMarks({ duties }: Pick<Permission, 'duties'>, { manifest }: ModelFacts): Fragment {
  const attribution = duties.includes('attribute') ? manifest.terms.attribution : undefined;
  return `{"aiLabel":${duties.includes('ai-label')}${optionalMember('attribution', attribution)}}`;
}

/** Formats names, datatypes and shapes, in the order of the canonical bytes. */
export function formatTensors(tensors: NamedTensors): Fragment {
  const entries = [...tensors];
  if (entries.length > 1) entries.sort(([one], [other]) => byCodePoints(one, other));
  const list = entries.map(
    ([name, { datatype, shape }]) =>
      `{"datatype":"${datatype}","name":${JSON.stringify(name)},"shape":[${shape.join(',')}]}`,
  );
  return `[${list.join(',')}]`;
}
