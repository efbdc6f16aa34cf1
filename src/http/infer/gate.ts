/** The gate: whether this caller may do this with this model, asked on every request. A refusal is on record, too. */
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import type { Action } from '../../governance/accounts/schema.ts';
import { decide } from '../../governance/policy/decide.ts';
import { declaredPurpose } from '../../governance/policy/purpose.ts';
import type { GateFacts, Permission, Refusal, Stop } from '../../governance/policy/types.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import { matchesModel } from '../../repository/name.ts';
import { limitRefusals } from '../caller/identify.ts';
import type { Rates } from '../caller/rates.ts';
import { residencyOf } from '../caller/residency.ts';
import { type AppContext, addAnswerHeaders } from '../context.ts';
import { type Governance, record } from '../record/governance.ts';
import { isTooLongForHeader, receiptHeaders, recordFirst } from '../record/receipt-headers.ts';
import type { Services } from '../services.ts';
import type { HttpSettings } from '../settings.ts';

/** One request at the gate. */
export interface Entrance {
  readonly governance: Governance;
  readonly settings: HttpSettings;
  readonly rates: Rates | undefined;
  readonly caller: Caller;
  readonly action: Action;
  readonly model: ResolvedModel;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** A request that passed. */
export interface Admitted extends Entrance {
  /** Owned by `takeUnits`, which puts that of a later grant in the place of one whose quota is used up. */
  permit: Permission;
}

/**
 * Undefined at an origin, which accounts to the edge that asks it.
 *
 * Waits for nothing where what is stopped is known, which is nearly always.
 *
 * @throws EdgewiseError the refusal's code; `invalid_request` for a purpose that is not known; `residency_unavailable` for a
 * tenant that is bound to another place, which leaves nothing on record here; `records_unavailable` where
 * it cannot be known whether the model is stopped, or what is answered could not be put on record.
 */
export function pass(
  c: AppContext,
  { governance, placement, rates, settings, tier }: Services,
  caller: Caller,
  action: Action,
  model: ResolvedModel,
): Admitted | undefined | Promise<Admitted> {
  if (governance === undefined) {
    if (tier === 'origin') return undefined;
    throw new EdgewiseError('records_unavailable', 'this edge cannot account for answers, so it gives none');
  }
  // Before anything is put on record: a refusal of a tenant that is bound to another place is not to be stored here.
  if (caller.kind === 'tenant' && caller.tenant.residency !== undefined) {
    residencyOf(caller, c.req.header('edgewise-jurisdiction'), placement.jurisdiction);
  }
  if (!governance.appender.hasRoom()) {
    governance.defer(governance.appender.flush());
    throw new EdgewiseError('records_unavailable', 'too many receipts wait for their place in the log', {
      retryAfterSeconds: 1,
    });
  }
  const entrance = { governance, settings, rates, caller, action, model, atMs: governance.now() };
  const stop = governance.stops.of(model.manifest.name);
  return stop instanceof Promise
    ? stop.then((known) => judged(c, entrance, known))
    : judged(c, entrance, stop);
}

function judged(c: AppContext, entrance: Entrance, stop: Stop | undefined): Admitted | Promise<Admitted> {
  const decision = decide(factsOf(c, entrance, stop));
  return decision.permitted ? { ...entrance, permit: decision } : refuse(c, entrance, decision);
}

function factsOf(c: AppContext, entrance: Entrance, stop: Stop | undefined): GateFacts {
  const { governance, action, atMs, caller, model, settings } = entrance;
  const { manifest, signed } = model;
  return {
    action,
    now: atMs,
    manifest,
    terms: manifest.terms,
    root: signed.root,
    caller,
    isOpened: settings.openModels.some((pattern) => matchesModel(pattern, manifest.name)),
    purpose: declaredPurpose(c.req.header('edgewise-purpose'), {
      configured: settings.purposes,
      terms: manifest.terms,
      caller,
      model: manifest.name,
    }),
    connectionCountry: connectionCountry(c.req.raw),
    packs: governance.packs,
    stop,
  };
}

/** As the platform tells it, which no caller can write; a server of one's own tells nothing. */
function connectionCountry(request: Request): string | undefined {
  const cf: unknown = Reflect.get(request, 'cf');
  const country: unknown = typeof cf === 'object' && cf !== null ? Reflect.get(cf, 'country') : undefined;
  return typeof country === 'string' ? country : undefined;
}

/**
 * Puts the refusal on record and gives its receipt to the caller, with the path where the missing right can be had.
 *
 * @throws EdgewiseError the refusal; `quota_exceeded` in its place for a caller without a key that is refused too often.
 */
export async function refuse(
  c: AppContext,
  entrance: Entrance,
  refusal: Refusal,
  retryAfterSeconds?: number,
): Promise<never> {
  const { governance, action, atMs, caller, model, rates } = entrance;
  limitRefusals(c, caller, rates);
  const issued = await governance.issuer.refusal({
    atMs,
    action,
    caller,
    model,
    decision: refusal,
    packs: governance.packs,
    // Of no unit: it counts on nobody's.
    meter: `refused:${caller.kind === 'anonymous' ? 'anonymous' : caller.id}`,
  });
  if (isTooLongForHeader(issued)) await recordFirst(governance, issued);
  else record(governance, issued);
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
