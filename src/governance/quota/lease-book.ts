/**
 * Counts one process's use of quotas. The process leases units in blocks and hands them out by itself. A block holds about
 * what the process uses in a second; that much is lost if the process dies. Units unused for a while are returned.
 *
 * A unit leaves its block before anything is awaited, and a unit reported as returned is in no block any more. The promise
 * of `meter-state.ts` rests on this, not on a clock.
 */
import { EdgewiseError } from '../../errors.ts';
import type { Quota } from '../../repository/terms.ts';
import { LeaseExchange, type LeaseExchangeOptions, quotaUnavailable } from './lease-exchange.ts';
import {
  type Block,
  closeBlocks,
  newLedger,
  putBack,
  type QuotaLedger,
  refuseUnits,
  returnSeconds,
  takeFromBlock,
  unitsAtHand,
  type Waiter,
} from './ledger.ts';
import { isWithin, periodOf, secondsLeft } from './period.ts';
import type { GrantedUnits, Meters, Taken } from './types.ts';

/** How long a request waits for its meter's answer. */
const patienceMs = 10_000;
/** A watch is renewed every `watchAgainMs` of use; after `watchMs` without use, it returns the units. */
const watchAgainMs = 5000;
const watchMs = returnSeconds * 1000;
/** Well before the meter forgets a lease. */
const maxBlockMs = 5 * 60_000;

export class LeaseBook implements Meters {
  readonly #options: LeaseExchangeOptions;
  readonly #exchange: LeaseExchange;
  readonly #ledgers = new Map<string, QuotaLedger[]>();

  constructor(options: LeaseExchangeOptions) {
    this.#options = options;
    this.#exchange = new LeaseExchange(options);
  }

  take(meter: string, quota: Quota, units: number, atMs: number): Taken | Promise<Taken> {
    if (!(units >= 1)) {
      throw new EdgewiseError('internal', `${units} units of ${meter} cannot be taken; expected 1 or more`);
    }
    const nowMs = this.#options.clock.now();
    const ledger = this.#ledgerOf(meter, quota, atMs, nowMs);
    this.#watch(ledger, nowMs);
    const block = ledger.waiting.length === 0 ? takeFromBlock(ledger, units, quota.units) : undefined;
    if (block !== undefined) {
      const isLow = unitsAtHand(ledger) * 2 < ledger.lastSurplus;
      if (isLow && ledger.exchangingSinceMs === undefined) this.#exchange.refill(ledger, quota.units);
      return this.#grant(ledger, block, quota, units, atMs);
    }
    const { refusal } = ledger;
    if (refusal?.limit === quota.units && nowMs < refusal.untilMs && units > refusal.free) {
      return refuseUnits(ledger, quota, atMs, refusal);
    }
    return this.#wait(ledger, quota, units, atMs);
  }

  #ledgerOf(meter: string, quota: Quota, atMs: number, nowMs: number): QuotaLedger {
    const ofMeter = this.#ledgers.get(meter);
    const found = ofMeter?.find(({ per, period }) => per === quota.per && isWithin(period, atMs));
    if (found !== undefined && !isStuck(found, nowMs)) return found;
    const ledger = newLedger(meter, quota, periodOf(quota.per, atMs));
    if (found !== undefined) {
      ledger.blocks = found.blocks;
      found.blocks = [];
      this.#letGo(found);
    }
    this.#ledgers.set(meter, [...(this.#ledgers.get(meter) ?? []), ledger]);
    return ledger;
  }

  #grant(ledger: QuotaLedger, block: Block, quota: Quota, units: number, atMs: number): GrantedUnits {
    let isGivenBack = false;
    return {
      granted: true,
      quota,
      remaining: ledger.free + unitsAtHand(ledger),
      resetSeconds: secondsLeft(ledger.period, atMs),
      giveBack: () => {
        if (isGivenBack) return;
        isGivenBack = true;
        putBack(ledger, block, units);
        ledger.refusal = undefined;
        if (block.isClosed) this.#exchange.flush(ledger);
      },
    };
  }

  #wait(ledger: QuotaLedger, quota: Quota, units: number, atMs: number): Promise<Taken> {
    return new Promise((resolve, reject) => {
      let isGone = false;
      const cancel = this.#options.clock.after(patienceMs, () => {
        isGone = true;
        reject(quotaUnavailable(ledger));
      });
      const settle: Waiter['settle'] = (result) => {
        cancel();
        if (result instanceof Error) reject(result);
        else if ('granted' in result) resolve(result);
        else if (isGone) putBack(ledger, result, units);
        else resolve(this.#grant(ledger, result, quota, units, atMs));
      };
      ledger.waiting.push({ units, quota, atMs, settle });
      this.#exchange.serve(ledger);
    });
  }

  /** Renewed while the ledger is in use, so that each watch outlives the request that began it, which may be the last. */
  #watch(ledger: QuotaLedger, nowMs: number): void {
    if (nowMs - ledger.watchedAtMs < watchAgainMs) return;
    const { clock, defer } = this.#options;
    ledger.watchedAtMs = nowMs;
    closeBlocks(ledger, ({ leasedAtMs }) => nowMs - leasedAtMs > maxBlockMs);
    const over = new Promise<void>((resolve) => {
      clock.after(watchMs, resolve);
    });
    defer(over.then(() => (ledger.watchedAtMs === nowMs ? this.#letGo(ledger) : undefined)));
  }

  /** Forgets the ledger and returns its units. */
  #letGo(ledger: QuotaLedger): void {
    const others = this.#ledgers.get(ledger.meter)?.filter((other) => other !== ledger) ?? [];
    if (others.length === 0) this.#ledgers.delete(ledger.meter);
    else this.#ledgers.set(ledger.meter, others);
    ledger.isLetGo = true;
    closeBlocks(ledger);
    this.#exchange.flush(ledger);
  }
}

/** Reports whether the ledger's exchange takes so long that the platform must have ended the request that began it. */
function isStuck({ exchangingSinceMs }: QuotaLedger, nowMs: number): boolean {
  return exchangingSinceMs !== undefined && nowMs - exchangingSinceMs > patienceMs;
}
