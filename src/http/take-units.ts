/** Units of a quota, taken before the run: whoever is refused has cost no run, and a run that fails on our side costs nothing. */
import type { Refusal } from '../governance/policy/types.ts';
import type { GrantedUnits, QuotaStanding, Taken } from '../governance/quota/types.ts';
import type { Quota } from '../repository/terms.ts';
import { type AppContext, addAnswerHeaders } from './context.ts';
import { type Admitted, refuse } from './gate.ts';
import { quotaHeaders } from './limit-headers.ts';

/**
 * Undefined where nothing limits the use. Waits for nothing where units are at hand.
 *
 * @throws EdgewiseError `quota_exceeded`; `records_unavailable` where it cannot be known what is left.
 */
export function takeUnits(
  c: AppContext,
  admitted: Admitted,
  units: number,
): GrantedUnits | undefined | Promise<GrantedUnits> {
  const { accounting, atMs, permit } = admitted;
  const { meter, quota } = permit.meter;
  if (quota === undefined) return undefined;
  const taken = accounting.meters.take(meter, quota, units, atMs);
  return taken instanceof Promise
    ? taken.then((known) => granted(c, admitted, units, known))
    : granted(c, admitted, units, taken);
}

function granted(
  c: AppContext,
  admitted: Admitted,
  units: number,
  taken: Taken,
): GrantedUnits | Promise<GrantedUnits> {
  addAnswerHeaders(c, quotaHeaders(taken, c.get('answerHeaders')));
  return taken.granted ? taken : refuse(c, admitted, overQuota(admitted, units, taken), taken.resetSeconds);
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
