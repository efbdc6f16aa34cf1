/** Stage 3: whether governance permits this use of the model. A refusal is on record, like an answer. */
import { EdgewiseError } from '../../errors.ts';
import { decide } from '../../governance/policy/decide.ts';
import { parsePurpose } from '../../governance/policy/purpose.ts';
import type { GateFacts, Refusal, Stop } from '../../governance/policy/types.ts';
import { matchesModel } from '../../repository/name.ts';
import { limitRefusals } from '../caller/identify.ts';
import { residencyOf } from '../caller/residency.ts';
import { addAnswerHeaders } from '../context.ts';
import { type Governance, recordBehindAnswer } from '../record/governance.ts';
import { isTooLongForHeader, receiptHeaders, recordFirst } from '../record/receipt-headers.ts';
import type { AdmittedRequest, ModelUse, PermittedUse, ResolvedRequest } from './request.ts';

/** @throws EdgewiseError as `admit` */
export async function admitInference(request: ResolvedRequest): Promise<AdmittedRequest> {
  const { c, caller, model, services } = request;
  return { ...request, use: await admit({ c, services, caller, model, action: 'infer' }) };
}

/**
 * Returns the permitted use; undefined at an origin, which leaves governance to the edge that calls it.
 *
 * @throws EdgewiseError the refusal's code; `invalid_request` for an unknown purpose; `residency_unavailable` for a tenant
 * that is bound to another jurisdiction, which leaves nothing on record here; `records_unavailable` when it cannot be known
 * whether the model is stopped, or an answer could not be put on record
 */
export async function admit(use: ModelUse): Promise<PermittedUse | undefined> {
  const { c, caller, model, services } = use;
  const { governance, placement, tier } = services;
  if (governance === undefined) {
    if (tier === 'origin') return undefined;
    throw new EdgewiseError(
      'records_unavailable',
      'this edge cannot put answers on record, so it gives none',
    );
  }
  // Comes first: a refusal of a tenant that is bound to another jurisdiction must not be stored in this one.
  if (caller.kind === 'tenant' && caller.tenant.residency !== undefined) {
    residencyOf(caller, c.req.header('edgewise-jurisdiction'), placement.jurisdiction);
  }
  requireRoomInLog(governance);
  const atMs = governance.now();
  const decision = decide(factsOf(use, governance, atMs, await governance.stops.of(model.manifest.name)));
  if (!decision.permitted) return refuse(use, governance, atMs, decision);
  return { ...use, governance, permit: decision, atMs };
}

function requireRoomInLog({ appender, defer }: Governance): void {
  if (appender.hasRoom()) return;
  defer(appender.flush());
  throw new EdgewiseError('records_unavailable', 'too many receipts wait for their place in the log', {
    retryAfterSeconds: 1,
  });
}

function factsOf(
  { action, c, caller, model, services: { settings } }: ModelUse,
  { packs }: Governance,
  now: number,
  stop: Stop | undefined,
): GateFacts {
  const { manifest, signed } = model;
  return {
    action,
    now,
    manifest,
    terms: manifest.terms,
    root: signed.root,
    caller,
    isOpened: settings.openModels.some((pattern) => matchesModel(pattern, manifest.name)),
    purpose: parsePurpose(c.req.header('edgewise-purpose'), {
      configured: settings.purposes,
      terms: manifest.terms,
      caller,
      model: manifest.name,
    }),
    connectionCountry: connectionCountry(c.req.raw),
    packs,
    stop,
  };
}

/** Returns the country that the platform states, which no caller can write; undefined outside Cloudflare. */
function connectionCountry(request: Request): string | undefined {
  const cf: unknown = Reflect.get(request, 'cf');
  const country: unknown = typeof cf === 'object' && cf !== null ? Reflect.get(cf, 'country') : undefined;
  return typeof country === 'string' ? country : undefined;
}

/**
 * Puts the refusal on record, and gives the caller its receipt and the path where the missing right can be had.
 *
 * @throws EdgewiseError the refusal; `quota_exceeded` instead for an unauthenticated caller that is refused too often
 */
export async function refuse(
  { action, c, caller, model, services: { rates } }: ModelUse,
  governance: Governance,
  atMs: number,
  refusal: Refusal,
  retryAfterSeconds?: number,
): Promise<never> {
  limitRefusals(c, caller, rates);
  const issued = await governance.issuer.refusal({
    atMs,
    action,
    caller,
    model,
    decision: refusal,
    packs: governance.packs,
    // A refusal uses no units, so it has a meter of its own that bills nothing.
    meter: `refused:${caller.kind === 'anonymous' ? 'anonymous' : caller.id}`,
  });
  if (isTooLongForHeader(issued)) await recordFirst(governance, issued);
  else recordBehindAnswer(governance, issued);
  addAnswerHeaders(c, {
    ...receiptHeaders(issued),
    ...(refusal.where === undefined ? {} : { Link: `<${refusal.where}>; rel="license"` }),
  });
  throw new EdgewiseError(
    refusal.code,
    refusal.message,
    retryAfterSeconds === undefined ? {} : { retryAfterSeconds },
  );
}
