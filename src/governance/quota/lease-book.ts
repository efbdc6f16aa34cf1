/**
 * A process's part of the counting: units that it leased, block by block, and hands out by itself. A block is as large as
 * what the process uses in a second or so, which is what is lost where it dies; what it has not used for a while goes back.
 *
 * A unit leaves its block before anything is waited for, and what is said to have come back is in no block any more: that,
 * and not a clock, is what the promise of `meter-state.ts` stands on.
 */
import type { Clock } from '../../async/clock.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Quota } from '../../repository/terms.ts';
import type { Defer } from '../../storage/types.ts';
import {
  type Block,
  closeBlocks,
  firstSurplus,
  newLedger,
  putBack,
  type QuotaLedger,
  refuseUnits,
  returnSeconds,
  takeFromBlock,
  unitsAtHand,
  type Waiter,
} from './ledger.ts';
import { type MeterAnswer, type MeterRequest, maxSurplus } from './meter-state.ts';
import { isWithin, periodOf, secondsLeft } from './period.ts';
import type { GrantedUnits, Meters, Taken } from './types.ts';

/** Asks the one place that counts `meter`. What is asked may be repeated: it is done once, by the ids in it. */
export type ExchangeUnits = (meter: string, request: MeterRequest) => Promise<MeterAnswer>;

export interface LeaseBookOptions {
  readonly exchange: ExchangeUnits;
  readonly clock: Clock;
  readonly defer: Defer;
  /** Begins the ids of this process's leases: no other has the same. Asked within the first request. */
  readonly name: () => string;
}

/** A block that lasted less than the one was too small, one that lasted more than the other too large. */
const shortMs = 1000;
const longMs = 4000;
/** For so long a refusal is repeated without asking. */
const refusalMs = 1000;
/** For so long a request waits to know what is left. */
const patienceMs = 10_000;
/** A watch that begins again every few seconds of use, and ends in giving back what has lain so long. */
const watchAgainMs = 5000;
const watchMs = returnSeconds * 1000;
/** Well before the place that counts forgets a lease. */
const maxBlockMs = 5 * 60_000;
/** Of leases whose fate is not known; where there are more, the units of the first stay used. */
const maxSettlements = 1024;

export function createLeaseBook({ exchange, clock, defer, name }: LeaseBookOptions): Meters {
  const ledgers = new Map<string, QuotaLedger[]>();
  let prefix: string | undefined;
  let leases = 0;

  function ledgerOf(meter: string, quota: Quota, atMs: number, nowMs: number): QuotaLedger {
    const found = ledgers.get(meter)?.find(({ per, period }) => per === quota.per && isWithin(period, atMs));
    if (found !== undefined && !isStuck(found, nowMs)) return found;
    const ledger = newLedger(meter, quota, periodOf(quota.per, atMs));
    if (found !== undefined) {
      ledger.blocks = found.blocks;
      found.blocks = [];
      letGo(found);
    }
    ledgers.set(meter, [...(ledgers.get(meter) ?? []), ledger]);
    return ledger;
  }

  function granted(
    ledger: QuotaLedger,
    block: Block,
    quota: Quota,
    units: number,
    atMs: number,
  ): GrantedUnits {
    let isGivenBack = false;
    return {
      granted: true,
      quota,
      remaining: ledger.free + unitsAtHand(ledger),
      resetSeconds: secondsLeft(ledger.period, atMs),
      giveBack() {
        if (isGivenBack) return;
        isGivenBack = true;
        putBack(ledger, block, units);
        ledger.refusal = undefined;
        if (block.isClosed) flush(ledger);
      },
    };
  }

  /** One exchange of an ledger at a time: who wants units meanwhile waits for the next. */
  async function run(
    ledger: QuotaLedger,
    asked: readonly Waiter[],
    limit: number,
    surplus?: number,
  ): Promise<void> {
    prefix ??= name();
    const id = `${prefix}-${leases++}`;
    const { period, settlements } = ledger;
    ledger.settlements = new Map();
    ledger.isOwing = false;
    ledger.exchangingSinceMs = clock.now();
    try {
      const answer = await exchange(ledger.meter, {
        period: { key: period.key, endsAtMs: period.endsAtMs },
        limit,
        settlements: [...settlements.values()],
        lease: surplus === undefined ? undefined : { id, needs: asked.map(({ units }) => units), surplus },
      });
      if (surplus !== undefined) land(ledger, asked, { id, limit }, answer);
      if (ledger.isLetGo) closeBlocks(ledger);
      ledger.exchangingSinceMs = undefined;
      serve(ledger);
      if (ledger.isOwing) flush(ledger);
    } catch (cause) {
      // Whether it was done is not known: what was said is said again, and the lease is not used.
      const again = new Map(settlements);
      if (surplus !== undefined) again.set(id, { id, returned: 'all', isClosed: true });
      for (const [of, settlement] of ledger.settlements) again.set(of, settlement);
      ledger.settlements = new Map([...again].slice(-maxSettlements));
      ledger.isOwing = true;
      for (const { settled } of asked) settled(unavailable(ledger, cause));
      ledger.exchangingSinceMs = undefined;
      serve(ledger);
    }
  }

  /** Hands out a new lease, in the order that the units were asked for: as they were counted (`fitting`). */
  function land(
    ledger: QuotaLedger,
    asked: readonly Waiter[],
    { id, limit }: Pick<Block, 'id' | 'limit'>,
    answer: MeterAnswer,
  ): void {
    const nowMs = clock.now();
    ledger.free = answer.free;
    const needed = asked.reduce((sum, { units }) => sum + units, 0);
    const block: Block = {
      id,
      limit,
      left: answer.granted,
      returned: 0,
      isClosed: false,
      isOpen: answer.granted > needed,
      leasedAtMs: nowMs,
    };
    ledger.blocks.push(block);
    for (const { units, settled, quota, atMs } of asked) {
      const isServed = block.left >= units;
      if (isServed) {
        block.left -= units;
        settled(block);
      } else {
        ledger.refusal = { ...answer, limit, untilMs: nowMs + refusalMs };
        settled(refuseUnits(ledger, quota, atMs, answer));
      }
    }
    resize(ledger, block, nowMs);
  }

  function resize(ledger: QuotaLedger, block: Block, nowMs: number): void {
    ledger.lastSurplus = block.left;
    if (block.left === 0) {
      // The end of the quota is near: what comes back of it is to be had by all at once.
      closeBlocks(ledger, (known) => known === block);
      return;
    }
    const lastedMs = nowMs - ledger.surplusAtMs;
    if (lastedMs < shortMs) ledger.surplus = Math.min(maxSurplus, ledger.surplus * 2);
    else if (lastedMs > longMs) ledger.surplus = Math.max(firstSurplus, ledger.surplus / 2);
    ledger.surplusAtMs = nowMs;
  }

  function serve(ledger: QuotaLedger): void {
    const unserved: Waiter[] = [];
    for (const waiter of ledger.waiting) {
      const block = takeFromBlock(ledger, waiter.units, waiter.quota.units);
      if (block === undefined) unserved.push(waiter);
      else waiter.settled(block);
    }
    ledger.waiting = unserved;
    const [first] = unserved;
    if (ledger.exchangingSinceMs !== undefined || first === undefined) return;
    // Those of another quota, as it was before a change or in another version of the model, are the next ones.
    const limit = first.quota.units;
    ledger.waiting = unserved.filter(({ quota }) => quota.units !== limit);
    const asked = unserved.filter(({ quota }) => quota.units === limit);
    // What is at hand is not enough for any of them: the place that counts puts it together with what others left.
    closeBlocks(ledger);
    defer(run(ledger, asked, limit, ledger.surplus));
  }

  function refill(ledger: QuotaLedger, limit: number): void {
    closeBlocks(ledger, ({ left }) => left === 0);
    defer(run(ledger, [], limit, ledger.surplus));
  }

  /** Tells what there is to tell, where nothing else is going to soon. */
  function flush(ledger: QuotaLedger): void {
    if (ledger.exchangingSinceMs !== undefined || !ledger.isOwing) return;
    defer(run(ledger, [], 0));
  }

  function wait(ledger: QuotaLedger, quota: Quota, units: number, atMs: number): Promise<Taken> {
    return new Promise((resolve, reject) => {
      let isGone = false;
      const cancel = clock.after(patienceMs, () => {
        isGone = true;
        reject(unavailable(ledger, undefined));
      });
      const settled: Waiter['settled'] = (result) => {
        cancel();
        if (result instanceof Error) reject(result);
        else if ('granted' in result) resolve(result);
        else if (isGone) putBack(ledger, result, units);
        else resolve(granted(ledger, result, quota, units, atMs));
      };
      ledger.waiting.push({ units, quota, atMs, settled });
      serve(ledger);
    });
  }

  /** Begins anew while the ledger is used, so that each watch outlives a request that may have been the last. */
  function watch(ledger: QuotaLedger, nowMs: number): void {
    if (nowMs - ledger.watchedAtMs < watchAgainMs) return;
    ledger.watchedAtMs = nowMs;
    closeBlocks(ledger, ({ leasedAtMs }) => nowMs - leasedAtMs > maxBlockMs);
    const over = new Promise<void>((resolve) => {
      clock.after(watchMs, resolve);
    });
    defer(over.then(() => (ledger.watchedAtMs === nowMs ? letGo(ledger) : undefined)));
  }

  function letGo(ledger: QuotaLedger): void {
    const others = ledgers.get(ledger.meter)?.filter((other) => other !== ledger) ?? [];
    if (others.length === 0) ledgers.delete(ledger.meter);
    else ledgers.set(ledger.meter, others);
    ledger.isLetGo = true;
    closeBlocks(ledger);
    flush(ledger);
  }

  return {
    take(meter, quota, units, atMs) {
      if (!(units >= 1)) {
        throw new EdgewiseError('internal', `${units} units of ${meter} cannot be taken, wanted 1 at least`);
      }
      const nowMs = clock.now();
      const ledger = ledgerOf(meter, quota, atMs, nowMs);
      watch(ledger, nowMs);
      const block = ledger.waiting.length === 0 ? takeFromBlock(ledger, units, quota.units) : undefined;
      if (block !== undefined) {
        const isLow = unitsAtHand(ledger) * 2 < ledger.lastSurplus;
        if (isLow && ledger.exchangingSinceMs === undefined) refill(ledger, quota.units);
        return granted(ledger, block, quota, units, atMs);
      }
      const { refusal } = ledger;
      if (refusal?.limit === quota.units && nowMs < refusal.untilMs && units > refusal.free) {
        return refuseUnits(ledger, quota, atMs, refusal);
      }
      return wait(ledger, quota, units, atMs);
    },
  };
}

/** The request that asked may have been ended by the platform, and its exchange with it. */
function isStuck({ exchangingSinceMs }: QuotaLedger, nowMs: number): boolean {
  return exchangingSinceMs !== undefined && nowMs - exchangingSinceMs > patienceMs;
}

function unavailable({ meter }: QuotaLedger, cause: unknown): EdgewiseError {
  return new EdgewiseError('records_unavailable', `what is left of the quota of ${meter} could not be read`, {
    cause,
    retryAfterSeconds: 1,
  });
}
