/** The periods that quotas are for: calendar days and months in UTC, or all time. */
import type { Quota } from '../../repository/terms.ts';

export interface Period {
  /** `day 2026-11-17`, `month 2026-11`, `total`. Identifies the period at the meter. */
  readonly key: string;
  /** Milliseconds since 1970; the start belongs to the period, the end to the next one. */
  readonly startsAtMs: number;
  readonly endsAtMs: number;
}

const dayMs = 86_400_000;
const allTime: Period = { key: 'total', startsAtMs: Number.NEGATIVE_INFINITY, endsAtMs: Infinity };

/** Returns the period that `atMs` lies in. @throws RangeError if `atMs` is not a valid time. */
export function periodOf(per: Quota['per'], atMs: number): Period {
  if (per === 'total') return allTime;
  const at = new Date(atMs);
  const day = at.toISOString();
  if (per === 'day') {
    const startsAtMs = Math.floor(atMs / dayMs) * dayMs;
    return { key: `day ${day.slice(0, -14)}`, startsAtMs, endsAtMs: startsAtMs + dayMs };
  }
  const year = at.getUTCFullYear();
  const month = at.getUTCMonth();
  return {
    key: `month ${day.slice(0, -17)}`,
    startsAtMs: Date.UTC(year, month),
    endsAtMs: Date.UTC(year, month + 1),
  };
}

export function isWithin({ startsAtMs, endsAtMs }: Period, atMs: number): boolean {
  return startsAtMs <= atMs && atMs < endsAtMs;
}

/** Returns whole seconds, at least 1, until the period ends; undefined if it does not end. */
export function secondsLeft({ endsAtMs }: Period, atMs: number): number | undefined {
  return endsAtMs === Infinity ? undefined : Math.max(1, Math.ceil((endsAtMs - atMs) / 1000));
}
