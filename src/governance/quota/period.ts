/** The spans of time that quotas are for: calendar days and months in UTC, or all time. */
import type { Quota } from '../../repository/terms.ts';

export interface Period {
  /** `day 2026-11-17`, `month 2026-11`, `total`: what is counted under it is of one period. */
  readonly key: string;
  /** Milliseconds since 1970; the start belongs to the period, the end to the next one. */
  readonly startsAtMs: number;
  readonly endsAtMs: number;
}

const dayMs = 86_400_000;
const allTime: Period = { key: 'total', startsAtMs: Number.NEGATIVE_INFINITY, endsAtMs: Infinity };

/** @throws RangeError for a time that is no date. */
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

/** Whole seconds, 1 at least, until the period ends; undefined where it does not. */
export function secondsLeft({ endsAtMs }: Period, atMs: number): number | undefined {
  return endsAtMs === Infinity ? undefined : Math.max(1, Math.ceil((endsAtMs - atMs) / 1000));
}
