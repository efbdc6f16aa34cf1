/** What one process holds of one meter in one period. These functions do not wait; `lease-book.ts` does. */
import type { Quota } from '../../repository/terms.ts';
import type { LeaseReport } from './meter-state.ts';
import { type Period, secondsLeft } from './period.ts';
import type { RefusedUnits } from './types.ts';

/** The units of one lease. */
export interface Block {
  readonly id: string;
  /** Units at hand. */
  left: number;
  /** Units that were returned or are about to be. */
  returned: number;
  isClosed: boolean;
  /** Units of the quota that the block was leased under. A smaller quota (one that was lowered) takes nothing from it. */
  readonly limit: number;
  /** Whether the meter expects some of it back. */
  readonly isOpen: boolean;
  readonly leasedAtMs: number;
}

/** A request that waits for units. */
export interface Waiter {
  readonly units: number;
  readonly quota: Quota;
  readonly atMs: number;
  readonly settle: (result: Block | RefusedUnits | Error) => void;
}

/** The meter's last refusal, repeated until `untilMs` without asking again. */
export interface RecentRefusal {
  readonly limit: number;
  readonly free: number;
  readonly mayReturn: boolean;
  readonly untilMs: number;
}

/** Owned by `LeaseBook` and `LeaseExchange`. */
export interface QuotaLedger {
  readonly meter: string;
  readonly per: Quota['per'];
  readonly period: Period;
  blocks: Block[];
  /** Reports to send to the meter: the latest for each lease. */
  reports: Map<string, LeaseReport>;
  waiting: Waiter[];
  /** When the exchange under way began; undefined if there is none. */
  exchangingSinceMs: number | undefined;
  /** Whether units were returned that the meter does not know of. */
  isOwing: boolean;
  /** No request finds this ledger any more: units that still arrive are returned at once. */
  isLetGo: boolean;
  /** Units of the quota that no process held, by the meter's last answer. */
  free: number;
  /** Units to lease beyond those that requests wait for. */
  surplus: number;
  /** Surplus of the last lease; 0 at the end of the quota, when each request leases its own units. */
  lastSurplus: number;
  surplusAtMs: number;
  refusal: RecentRefusal | undefined;
  /** When the last watch over this ledger began. */
  watchedAtMs: number;
}

export const firstSurplus = 8;

export function newLedger(meter: string, quota: Quota, period: Period): QuotaLedger {
  return {
    meter,
    per: quota.per,
    period,
    blocks: [],
    reports: new Map(),
    waiting: [],
    exchangingSinceMs: undefined,
    isOwing: false,
    isLetGo: false,
    free: 0,
    surplus: firstSurplus,
    lastSurplus: 0,
    surplusAtMs: Number.NEGATIVE_INFINITY,
    refusal: undefined,
    watchedAtMs: Number.NEGATIVE_INFINITY,
  };
}

export function unitsAtHand({ blocks }: QuotaLedger): number {
  let left = 0;
  for (const block of blocks) left += block.left;
  return left;
}

/** Takes `units` out of one block that has them and was leased under a quota of at most `limit`. Returns that block. */
export function takeFromBlock({ blocks }: QuotaLedger, units: number, limit: number): Block | undefined {
  for (const block of blocks) {
    if (block.left >= units && block.limit <= limit) {
      block.left -= units;
      return block;
    }
  }
  return undefined;
}

/** Puts unused units back into their block, or, if the block is closed, returns them to the meter. */
export function putBack(ledger: QuotaLedger, block: Block, units: number): void {
  if (!block.isClosed) {
    block.left += units;
    return;
  }
  block.returned += units;
  owe(ledger, block);
}

function owe(ledger: QuotaLedger, { id, returned }: Block): void {
  ledger.reports.set(id, { id, returned, isClosed: true });
  ledger.isOwing = true;
}

/** Closes these blocks, by default all: their units are no longer at hand, and are returned with the next exchange. */
export function closeBlocks(ledger: QuotaLedger, isMeant: (block: Block) => boolean = () => true): void {
  ledger.blocks = ledger.blocks.filter((block) => {
    if (!isMeant(block)) return true;
    block.returned += block.left;
    block.left = 0;
    block.isClosed = true;
    if (block.isOpen || block.returned > 0) owe(ledger, block);
    return false;
  });
}

/** Other processes return unused units within this time. */
export const returnSeconds = 15;

export function refuseUnits(
  ledger: QuotaLedger,
  quota: Quota,
  atMs: number,
  { free, mayReturn }: Pick<RecentRefusal, 'free' | 'mayReturn'>,
): RefusedUnits {
  const left = secondsLeft(ledger.period, atMs);
  const resetSeconds = mayReturn ? Math.min(returnSeconds, left ?? returnSeconds) : left;
  return { granted: false, quota, remaining: free + unitsAtHand(ledger), resetSeconds };
}
