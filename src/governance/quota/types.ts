/** What counts use against quotas. Every driver passes the contract suite in `test/governance/quota/`. */
import type { Quota } from '../../repository/terms.ts';

/** How a quota stands after a request asked for some of it. */
export interface QuotaStanding {
  readonly quota: Quota;
  /**
   * Units that are left of the period, as far as this process knows: other processes take from them too. Never the reason
   * for a refusal by itself.
   */
  readonly remaining: number;
  /** Whole seconds, 1 at least, until there are more units; undefined where there will not be. */
  readonly resetSeconds: number | undefined;
}

export interface GrantedUnits extends QuotaStanding {
  readonly granted: true;
  /** Of a run that failed on our side: an answer that nobody got is not charged. A second call does nothing. */
  giveBack(): void;
}

export interface RefusedUnits extends QuotaStanding {
  readonly granted: false;
}

export type Taken = GrantedUnits | RefusedUnits;

export interface Meters {
  /**
   * Takes `units` of what `meter` may use in the period that `atMs` lies in, all of them or none. Over all processes no
   * more than the quota is ever granted for one period. Not a promise where units are at hand, which is nearly always.
   *
   * @param meter `grant:<id>`, `licence:<who>:<model>`.
   * @param units A whole number, 1 at least.
   * @param atMs Milliseconds since 1970: when the request arrived, as its receipt says, so that the receipts of a period
   * are the ones that were counted in it.
   * @throws EdgewiseError `records_unavailable` where it cannot be known what is left.
   */
  take(meter: string, quota: Quota, units: number, atMs: number): Taken | Promise<Taken>;
}
