/** What a process holds of one meter in one period. Everything here happens at once; waiting is `lease-book.ts`'s. */
import type { Quota } from '../../repository/terms.ts';
import type { LeaseReport } from './meter-state.ts';
import { type Period, secondsLeft } from './period.ts';
import type { RefusedUnits } from './types.ts';

/** Units of one lease. */
export interface Block {
  readonly id: string;
  /** Units at hand. */
  left: number;
  /** Units that went back, or are about to. */
  returned: number;
  isClosed: boolean;
  /** Units of the quota that it was leased from: a smaller quota, as one that was lowered, has none of it. */
  readonly limit: number;
  /** Whether the place that counts expects some of it back. */
  readonly isOpen: boolean;
  readonly leasedAtMs: number;
}

/** A request that waits to know what is left. */
export interface Waiter {
  readonly units: number;
  readonly quota: Quota;
  readonly atMs: number;
  readonly settled: (result: Block | RefusedUnits | Error) => void;
}

export interface RecentRefusal {
  readonly limit: number;
  readonly free: number;
  readonly mayReturn: boolean;
  readonly untilMs: number;
}

/** One meter in one period; `lease-book.ts` and `keeper.ts` own it. */
export interface QuotaLedger {
  readonly meter: string;
  readonly per: Quota['per'];
  readonly period: Period;
  blocks: Block[];
  /** What is to be said of leases, the latest for each. */
  settlements: Map<string, LeaseReport>;
  waiting: Waiter[];
  /** When the exchange began that is on its way; undefined: none is. */
  exchangingSinceMs: number | undefined;
  /** Whether units went back that the place that counts has not been told of. */
  isOwing: boolean;
  /** No request finds it any more: what still comes to it goes back at once. */
  isLetGo: boolean;
  /** Units that nobody had when it was last asked. */
  free: number;
  /** Units to ask for beyond those that are waited for. */
  surplus: number;
  /** How many of these were had last; 0: it is the end of the quota, and each request asks for its own. */
  lastSurplus: number;
  surplusAtMs: number;
  refusal: RecentRefusal | undefined;
  /** When the last watch over it began. */
  watchedAtMs: number;
}

export const firstSurplus = 8;

export function newLedger(meter: string, quota: Quota, period: Period): QuotaLedger {
  return {
    meter,
    per: quota.per,
    period,
    blocks: [],
    settlements: new Map(),
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

/** A block that had as many units for a quota of `limit`; they are out of it now. */
export function takeFromBlock({ blocks }: QuotaLedger, units: number, limit: number): Block | undefined {
  for (const block of blocks) {
    if (block.left >= units && block.limit <= limit) {
      block.left -= units;
      return block;
    }
  }
  return undefined;
}

/** Units of a block that were not used after all: to hand again, or, where the block went back, to go after it. */
export function putBack(ledger: QuotaLedger, block: Block, units: number): void {
  if (!block.isClosed) {
    block.left += units;
    return;
  }
  block.returned += units;
  owe(ledger, block);
}

function owe(ledger: QuotaLedger, { id, returned }: Block): void {
  ledger.settlements.set(id, { id, returned, isClosed: true });
  ledger.isOwing = true;
}

/** What these blocks hold is to go back, and is not at hand any more. */
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

/** Other processes give back what they do not use within so many seconds. */
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
