/**
 * The parts of a receipt from what a request is known by. What stays the same from one request to the next is made once:
 * each part is the canonical JSON (RFC 8785) of itself, ready to be put together.
 *
 * Parts that differ with each request have their members written in the order of RFC 8785 (UTF-16 units of the names) and go
 * through `JSON.stringify`, which then gives the canonical form in a quarter of the time: strings here are well-formed,
 * numbers whole.
 */
import canonicalize from 'canonicalize';
import type { RuntimeIdentity } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Manifest } from '../../repository/schema.ts';
import { digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';
import type { Caller } from '../accounts/caller.ts';
import type { Action, Grant } from '../accounts/schema.ts';
import type { Decision, PackInForce, Permit } from '../policy/types.ts';
import type { NamedTensors } from './canonical-tensors.ts';
import { byCodePoints } from './code-points.ts';
import type {
  InferenceReceipt,
  ReceiptDecision,
  ReceiptLicence,
  ReceiptModel,
  ReceiptRoute,
  ReceiptTensor,
  Reproducibility,
} from './schema.ts';

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

/** @throws EdgewiseError `internal` for what has no canonical JSON. */
export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new EdgewiseError('internal', 'a value of a receipt has no JSON form');
  return text;
}

/** Half of an edge receipt: all that the model and its terms say. */
export interface ModelParts {
  readonly model: string;
  readonly licence: string;
}

const modelParts = new WeakMap<ModelFacts['signed'], ModelParts>();

export function modelPartsOf(facts: ModelFacts): ModelParts {
  const known = modelParts.get(facts.signed);
  if (known !== undefined) return known;
  const parts = {
    model: canonicalJson(receiptModel(facts)),
    licence: canonicalJson(receiptLicence(facts)),
  };
  modelParts.set(facts.signed, parts);
  return parts;
}

export function receiptModel({ manifest, manifestDigest, signed }: ModelFacts): ReceiptModel {
  const { name, version } = manifest;
  const { root, bundle, signer } = signed;
  return { name, version, root, manifest: manifestDigest, bundle, signer };
}

export function receiptLicence({ manifest }: ModelFacts): ReceiptLicence {
  const { spdx, text } = manifest.terms.licence;
  return { spdx, text };
}

export function receiptCaller(caller: Caller): InferenceReceipt['caller'] {
  switch (caller.kind) {
    case 'anonymous':
      return {};
    case 'tenant':
      return { credential: caller.id, tenant: caller.tenant.id };
    default:
      return { credential: caller.id };
  }
}

export interface DecisionFacts {
  readonly action: Action;
  readonly decision: Decision;
  readonly packs: readonly Pick<PackInForce, 'id' | 'digest'>[];
}

/** A promise only when the grant is met for the first time: its digest is to be computed. */
export function receiptDecision(facts: DecisionFacts): ReceiptDecision | Promise<ReceiptDecision> {
  const { grant } = facts.decision;
  if (grant === undefined) return decisionUnder(facts, undefined);
  const known = grantDigests.get(grant);
  if (known !== undefined) return decisionUnder(facts, { digest: known, id: grant.id });
  return grantDigest(grant).then((digest) => decisionUnder(facts, { digest, id: grant.id }));
}

function decisionUnder(
  { action, decision, packs }: DecisionFacts,
  grant: ReceiptDecision['grant'],
): ReceiptDecision {
  const { purpose, territory } = decision;
  return {
    ...(decision.permitted && decision.acceptance !== undefined && { acceptance: decision.acceptance }),
    action,
    ...(!decision.permitted && { code: decision.code }),
    ...(grant !== undefined && { grant }),
    outcome: decision.permitted ? 'permitted' : 'refused',
    packs: packs.map(({ digest, id }) => ({ digest, id })),
    ...(purpose !== undefined && { purpose }),
    ...(!decision.permitted && { right: decision.right }),
    ...(territory !== undefined && { territory }),
  };
}

const grantDigests = new WeakMap<Grant, Digest>();

/** SHA-256 over the canonical JSON of the grant as it stood. */
export async function grantDigest(grant: Grant): Promise<Digest> {
  const known = grantDigests.get(grant);
  if (known !== undefined) return known;
  const digest = await digestOf(new Uint8Array(new TextEncoder().encode(canonicalJson(grant))));
  grantDigests.set(grant, digest);
  return digest;
}

/** @param code Version of Edgewise. */
export function receiptRoute(
  { tier, reason, jurisdiction, runtime, reproducibility }: RouteFacts,
  code: string,
): ReceiptRoute {
  return {
    code,
    ...(jurisdiction !== undefined && { jurisdiction }),
    reason,
    reproducibility,
    ...(runtime !== undefined && { runtime: receiptRuntime(runtime) }),
    tier,
  };
}

function receiptRuntime({ name, version, wasm, threads }: RuntimeIdentity): ReceiptRoute['runtime'] {
  return { name, ...(threads !== undefined && { threads }), version, ...(wasm !== undefined && { wasm }) };
}

export function receiptMarks(
  { duties }: Pick<Permit, 'duties'>,
  { manifest }: ModelFacts,
): InferenceReceipt['marks'] {
  const { attribution } = manifest.terms;
  return {
    aiLabel: duties.includes('ai-label'),
    ...(duties.includes('attribute') && attribution !== undefined && { attribution }),
  };
}

/** Names, datatypes and shapes, in the order of the canonical bytes. */
export function receiptTensors(tensors: NamedTensors): ReceiptTensor[] {
  const list = Array.from(tensors, ([name, { datatype, shape }]) => ({ datatype, name, shape: [...shape] }));
  return list.length > 1 ? list.sort((one, other) => byCodePoints(one.name, other.name)) : list;
}
