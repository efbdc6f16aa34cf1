/** Meters count use against quotas. Every driver passes the contract suite in `test/governance/quota/`. */
import type { Quota } from '../../repository/terms.ts';

/** The state of a quota after a request asked for units. */
export interface QuotaStanding {
  readonly quota: Quota;
  /**
   * Units left in the period, as far as this process knows; other processes take units too. Never by itself the reason for
   * a refusal.
   */
  readonly remaining: number;
  /** Whole seconds, at least 1, until there are more units; undefined if there will be none. */
  readonly resetSeconds: number | undefined;
}

export interface GrantedUnits extends QuotaStanding {
  readonly granted: true;
  /** Returns the units of a run that failed on our side: an undelivered answer is not charged. A second call does nothing. */
  giveBack(): void;
}

export interface RefusedUnits extends QuotaStanding {
  readonly granted: false;
}

export type Taken = GrantedUnits | RefusedUnits;

export interface Meters {
  /**
   * Takes `units` from the quota of `meter` for the period that `atMs` lies in: all of them or none. All processes together
   * are never granted more than the quota for one period. Returns no promise if units are at hand, which is nearly always.
   *
   * @param meter `grant:<id>`, `licence:<who>:<model>`.
   * @param units A whole number, at least 1.
   * @param atMs Milliseconds since 1970: when the request arrived, by its receipt, so that the receipts of a period are the
   * requests counted in it.
   * @throws EdgewiseError `records_unavailable` if the meter cannot be asked.
   */
  take(meter: string, quota: Quota, units: number, atMs: number): Taken | Promise<Taken>;
}
