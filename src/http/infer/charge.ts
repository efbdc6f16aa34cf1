/** Stage 6: units of a quota, taken before the run: a refused request costs no run, a failed run costs no units. */
import type { GrantedUse, Refusal } from '../../governance/policy/types.ts';
import type { GrantedUnits, QuotaStanding, RefusedUnits } from '../../governance/quota/types.ts';
import type { Quota } from '../../repository/terms.ts';
import { quotaHeaders } from '../caller/limit-headers.ts';
import { addAnswerHeaders } from '../context.ts';
import { refuse } from './admit.ts';
import type { Charge, ChargedRequest, PermittedUse, PlacedRequest } from './request.ts';

function chargeFor(units: GrantedUnits): Charge {
  let isKept = false;
  return {
    keep() {
      isKept = true;
    },
    giveBack() {
      if (!isKept) units.giveBack();
    },
  };
}

/**
 * Charges the request, then answers it; gives the units back if no answer goes on record.
 *
 * @throws EdgewiseError `quota_exceeded` if no grant has the units; `records_unavailable` if what is left of a quota
 * cannot be known; what `answer` throws
 */
export async function withCharge(
  request: PlacedRequest,
  answer: (charged: ChargedRequest) => Promise<Response>,
): Promise<Response> {
  const charged = await charge(request);
  try {
    return await answer(charged);
  } catch (error) {
    charged.charge?.giveBack();
    throw error;
  }
}

async function charge(request: PlacedRequest): Promise<ChargedRequest> {
  const { c, units, use } = request;
  if (use === undefined) return { ...request, charge: undefined };
  const { atMs, governance, permit } = use;
  let firstRefusal: RefusedUnits | undefined;
  for (const granted of [permit, ...(permit.fallbacks ?? [])]) {
    const { meter, quota } = granted.meter;
    if (quota === undefined) return { ...request, use: underGrant(use, granted), charge: undefined };
    const taken = await governance.meters.take(meter, quota, units, atMs);
    if (taken.granted) {
      addAnswerHeaders(c, quotaHeaders(taken, c.get('answerHeaders')));
      return { ...request, use: underGrant(use, granted), charge: chargeFor(taken) };
    }
    firstRefusal ??= taken;
  }
  if (firstRefusal === undefined) return { ...request, charge: undefined };
  addAnswerHeaders(c, quotaHeaders(firstRefusal, c.get('answerHeaders')));
  return refuse(use, governance, atMs, overQuota(use, units, firstRefusal), firstRefusal.resetSeconds);
}

/** Returns the use as the grant that has the units permits it. */
function underGrant(use: PermittedUse, granted: GrantedUse): PermittedUse {
  return granted === use.permit ? use : { ...use, permit: { ...use.permit, ...granted } };
}

function overQuota(
  { model, permit }: PermittedUse,
  units: number,
  { quota, remaining }: QuotaStanding,
): Refusal {
  const right = `${formatUnits(units)} of a quota of ${quota.units} ${periodName(quota)}, and ${formatUnits(remaining)} of it ${remaining === 1 ? 'is' : 'are'} left`;
  return {
    permitted: false,
    code: 'quota_exceeded',
    right,
    message: `model "${model.manifest.name}" was not run: the request takes ${right}`,
    where: undefined,
    purpose: permit.purpose,
    territory: permit.territory,
    grant: permit.grant,
  };
}

function formatUnits(units: number): string {
  return units === 1 ? '1 unit' : `${units} units`;
}

function periodName({ per }: Quota): string {
  return per === 'total' ? 'in all' : `per ${per}`;
}
