/**
 * The parts of a receipt from what a request is known by, each the canonical JSON (RFC 8785) of itself: members in the order
 * of the UTF-16 units of their names, no spaces, strings as `JSON.stringify` writes them. What stays the same from one
 * request to the next is made once; the rest is put together as text, which takes a fraction of what canonicalising does.
 */
import canonicalize from 'canonicalize';
import type { RuntimeIdentity } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Manifest } from '../../repository/schema.ts';
import { digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import type { Caller } from '../accounts/caller.ts';
import type { Action, Grant } from '../accounts/schema.ts';
import type { Decision, PackInForce, Permission } from '../policy/types.ts';
import { byCodePoints } from './code-points.ts';
import type { InferenceReceipt, ReceiptRoute, Reproducibility } from './schema.ts';

/** Canonical JSON of one value. */
export type Fragment = string;

/** The model as the repository resolved it. `signed` is one object for as long as the version is held. */
export interface ModelFacts {
  readonly manifest: Pick<Manifest, 'name' | 'version' | 'terms'>;
  readonly manifestDigest: Digest;
  readonly signed: { readonly root: Digest; readonly bundle: Digest; readonly signer: string };
}

export interface RouteFacts {
  readonly tier: ReceiptRoute['tier'];
  readonly reason: string;
  /** Of where it ran, where that is known. */
  readonly jurisdiction: string | undefined;
  /** What computed it; undefined of an origin that does not say. */
  readonly runtime: RuntimeIdentity | undefined;
  readonly reproducibility: Reproducibility;
}

export interface DecisionFacts {
  readonly action: Action;
  readonly decision: Decision;
  /** Policy packs in force. */
  readonly packs: readonly Pick<PackInForce, 'id' | 'digest'>[];
}

/** @throws EdgewiseError `internal` for what has no canonical JSON. */
export function canonicalJson(value: unknown): Fragment {
  const text = canonicalize(value);
  if (text === undefined) throw new EdgewiseError('internal', 'a value of a receipt has no JSON form');
  return text;
}

/** `part`, made once for each `key`. */
function once<K extends object>(part: (key: K) => Fragment): (key: K) => Fragment {
  const known = new WeakMap<K, Fragment>();
  return (key) => {
    const held = known.get(key);
    if (held !== undefined) return held;
    const made = part(key);
    known.set(key, made);
    return made;
  };
}

export interface ModelParts {
  readonly model: Fragment;
  readonly licence: Fragment;
}

const modelParts = new WeakMap<ModelFacts['signed'], ModelParts>();

export function modelPartsOf({ manifest, manifestDigest, signed }: ModelFacts): ModelParts {
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

/** Its members stand in the order of their names. */
export function callerPart(caller: InferenceReceipt['caller']): Fragment {
  return JSON.stringify(caller);
}

/** A promise only when the grant is met for the first time: its digest is to be computed. */
export function decisionPart(facts: DecisionFacts): Fragment | Promise<Fragment> {
  const { grant } = facts.decision;
  if (grant === undefined) return decisionUnder(facts, '');
  const known = grantParts.get(grant);
  if (known !== undefined) return decisionUnder(facts, known);
  return grantPart(grant).then((part) => decisionUnder(facts, part));
}

function decisionUnder({ action, decision, packs }: DecisionFacts, grant: string): Fragment {
  const { permitted, purpose, territory } = decision;
  const acceptance = permitted && decision.acceptance !== undefined;
  const head = acceptance ? `"acceptance":${JSON.stringify(decision.acceptance)},` : '';
  const code = permitted ? '' : `"code":"${decision.code}",`;
  const outcome = permitted ? 'permitted' : 'refused';
  const tail = `${more('purpose', purpose)}${more('right', permitted ? undefined : decision.right)}${more('territory', territory)}`;
  return `{${head}"action":"${action}",${code}${grant}"outcome":"${outcome}","packs":${packsPart(packs)}${tail}}`;
}

function more(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`;
}

const packsPart = once((packs: DecisionFacts['packs']) =>
  canonicalJson(packs.map(({ digest, id }) => ({ digest, id }))),
);

const grantParts = new WeakMap<Grant, string>();

/** The member `grant`: its id, and SHA-256 over the canonical JSON of it as it stood. */
async function grantPart(grant: Grant): Promise<string> {
  const digest = await digestOf(new Uint8Array(new TextEncoder().encode(canonicalJson(grant))));
  const part = `"grant":{"digest":"${digest}","id":${JSON.stringify(grant.id)}},`;
  grantParts.set(grant, part);
  return part;
}

/** @param code Version of Edgewise. */
export function routePart(route: RouteFacts, code: string): Fragment {
  const { tier, reason, jurisdiction, runtime, reproducibility } = route;
  const computed = runtime === undefined ? '' : `,"runtime":${runtimePart(runtime)}`;
  return `{"code":${JSON.stringify(code)}${more('jurisdiction', jurisdiction)},"reason":${JSON.stringify(reason)},"reproducibility":"${reproducibility}"${computed},"tier":"${tier}"}`;
}

const runtimePart = once(({ name, version, wasm, threads }: RuntimeIdentity) =>
  canonicalJson({ name, version, wasm, threads }),
);

export function marksPart({ duties }: Pick<Permission, 'duties'>, { manifest }: ModelFacts): Fragment {
  const attribution = duties.includes('attribute') ? manifest.terms.attribution : undefined;
  return `{"aiLabel":${duties.includes('ai-label')}${more('attribution', attribution)}}`;
}

/** Names, datatypes and shapes, in the order of the canonical bytes. */
export function tensorsPart(tensors: NamedTensors): Fragment {
  const entries = [...tensors];
  if (entries.length > 1) entries.sort(([one], [other]) => byCodePoints(one, other));
  const list = entries.map(
    ([name, { datatype, shape }]) =>
      `{"datatype":"${datatype}","name":${JSON.stringify(name)},"shape":[${shape.join(',')}]}`,
  );
  return `[${list.join(',')}]`;
}
