/** Units of a quota, taken before the run: whoever is refused has cost no run, and a run that fails on our side costs nothing. */
import type { GrantedUse, Refusal } from '../../governance/policy/types.ts';
import type { GrantedUnits, QuotaStanding, RefusedUnits, Taken } from '../../governance/quota/types.ts';
import type { Quota } from '../../repository/terms.ts';
import { quotaHeaders } from '../caller/limit-headers.ts';
import { type AppContext, addAnswerHeaders } from '../context.ts';
import { type Admitted, refuse } from './gate.ts';

/**
 * Takes the units from the first grant that has them; the permit is that grant's then. Undefined where nothing limits the
 * use. Waits for nothing where units are at hand.
 *
 * @throws EdgewiseError `quota_exceeded` when no grant has them; `records_unavailable` where it cannot be known what is left.
 */
export function takeUnits(
  c: AppContext,
  admitted: Admitted,
  units: number,
): GrantedUnits | undefined | Promise<GrantedUnits | undefined> {
  const { permit } = admitted;
  return takeFrom(c, admitted, units, [permit, ...(permit.fallbacks ?? [])], undefined);
}

/** @param refused What the first grant said, once it has refused. */
function takeFrom(
  c: AppContext,
  admitted: Admitted,
  units: number,
  [use, ...others]: readonly GrantedUse[],
  refused: RefusedUnits | undefined,
): GrantedUnits | undefined | Promise<GrantedUnits | undefined> {
  const { governance, atMs, permit } = admitted;
  if (use === undefined) return undefined;
  const { meter, quota } = use.meter;
  const settle = () => {
    if (use !== permit) admitted.permit = { ...permit, ...use };
  };
  if (quota === undefined) {
    settle();
    return undefined;
  }
  const decide = (taken: Taken) => {
    if (taken.granted) {
      settle();
      addAnswerHeaders(c, quotaHeaders(taken, c.get('answerHeaders')));
      return taken;
    }
    const first = refused ?? taken;
    if (others.length > 0) return takeFrom(c, admitted, units, others, first);
    addAnswerHeaders(c, quotaHeaders(first, c.get('answerHeaders')));
    return refuse(c, admitted, overQuota(admitted, units, first), first.resetSeconds);
  };
  const taken = governance.meters.take(meter, quota, units, atMs);
  return taken instanceof Promise ? taken.then(decide) : decide(taken);
}

function overQuota({ model, permit }: Admitted, units: number, { quota, remaining }: QuotaStanding): Refusal {
  const right = `${counted(units)} of a quota of ${quota.units} ${periodName(quota)}, and ${counted(remaining)} of it ${remaining === 1 ? 'is' : 'are'} left`;
  return {
    permitted: false,
    code: 'quota_exceeded',
    right,
    message: `model "${model.manifest.name}" was not run: wanted ${right}`,
    where: undefined,
    purpose: permit.purpose,
    territory: permit.territory,
    grant: permit.grant,
  };
}

function counted(units: number): string {
  return units === 1 ? '1 unit' : `${units} units`;
}

function periodName({ per }: Quota): string {
  return per === 'total' ? 'in all' : `per ${per}`;
}
