/** Leases units for a ledger from its meter, and reports to the meter what became of earlier leases. */
import type { Clock } from '../../async/clock.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Defer } from '../../storage/types.ts';
import {
  type Block,
  closeBlocks,
  firstSurplus,
  type QuotaLedger,
  refuseUnits,
  takeFromBlock,
  type Waiter,
} from './ledger.ts';
import { type LeaseReport, type MeterAnswer, type MeterRequest, maxSurplus } from './meter-state.ts';

/** Sends a request to the meter. May be repeated: the ids in the request make the meter act on it once. */
export type ExchangeUnits = (meter: string, request: MeterRequest) => Promise<MeterAnswer>;

export interface LeaseExchangeOptions {
  readonly exchange: ExchangeUnits;
  readonly clock: Clock;
  readonly defer: Defer;
  /** Returns the prefix of this process's lease ids, unique among all processes. Called within the first request. */
  readonly name: () => string;
}

/** A block that lasted less than `shortMs` was too small; one that lasted more than `longMs` was too large. */
const shortMs = 1000;
const longMs = 4000;
/** How long a refusal is repeated without asking the meter. */
const refusalMs = 1000;
/** Reports on leases whose outcome is unknown. Beyond this, the units of the oldest leases stay used. */
const maxReports = 1024;

export class LeaseExchange {
  readonly #options: LeaseExchangeOptions;
  #prefix: string | undefined;
  #leases = 0;

  constructor(options: LeaseExchangeOptions) {
    this.#options = options;
  }

  /** Gives units at hand to the requests that wait, and leases units for the others. */
  serve(ledger: QuotaLedger): void {
    const unserved: Waiter[] = [];
    for (const waiter of ledger.waiting) {
      const block = takeFromBlock(ledger, waiter.units, waiter.quota.units);
      if (block === undefined) unserved.push(waiter);
      else waiter.settle(block);
    }
    ledger.waiting = unserved;
    const [first] = unserved;
    if (ledger.exchangingSinceMs !== undefined || first === undefined) return;
    // Requests under another quota (before a change, or of another version of the model) wait for the next exchange.
    const limit = first.quota.units;
    ledger.waiting = unserved.filter(({ quota }) => quota.units !== limit);
    const asking = unserved.filter(({ quota }) => quota.units === limit);
    // The units at hand are not enough for any of them: the meter adds them to what other processes have returned.
    closeBlocks(ledger);
    this.#options.defer(this.#run(ledger, asking, limit, ledger.surplus));
  }

  /** Leases a new surplus, beyond the units that are at hand. */
  refill(ledger: QuotaLedger, limit: number): void {
    closeBlocks(ledger, ({ left }) => left === 0);
    this.#options.defer(this.#run(ledger, [], limit, ledger.surplus));
  }

  /** Sends the reports that the ledger owes. An exchange under way calls this again when it ends. */
  flush(ledger: QuotaLedger): void {
    if (ledger.exchangingSinceMs !== undefined || !ledger.isOwing) return;
    this.#options.defer(this.#run(ledger, [], 0));
  }

  /** Runs one exchange. A ledger has one at a time; requests that come meanwhile wait for the next. */
  async #run(ledger: QuotaLedger, asking: readonly Waiter[], limit: number, surplus?: number): Promise<void> {
    const { clock, exchange, name } = this.#options;
    this.#prefix ??= name();
    const id = `${this.#prefix}-${this.#leases++}`;
    const { period, reports } = ledger;
    ledger.reports = new Map();
    ledger.isOwing = false;
    ledger.exchangingSinceMs = clock.now();
    try {
      const answer = await exchange(ledger.meter, {
        period: { key: period.key, endsAtMs: period.endsAtMs },
        limit,
        settlements: [...reports.values()],
        lease: surplus === undefined ? undefined : { id, needs: asking.map(({ units }) => units), surplus },
      });
      if (surplus !== undefined) this.#land(ledger, asking, { id, limit }, answer);
      if (ledger.isLetGo) closeBlocks(ledger);
      ledger.exchangingSinceMs = undefined;
      this.serve(ledger);
      if (ledger.isOwing) this.flush(ledger);
    } catch (cause) {
      // The exchange may have been made: the reports are sent again, and the lease is returned unused.
      const again = new Map<string, LeaseReport>(reports);
      if (surplus !== undefined) again.set(id, { id, returned: 'all', isClosed: true });
      for (const [lease, report] of ledger.reports) again.set(lease, report);
      ledger.reports = new Map([...again].slice(-maxReports));
      ledger.isOwing = true;
      for (const { settle } of asking) settle(quotaUnavailable(ledger, cause));
      ledger.exchangingSinceMs = undefined;
      this.serve(ledger);
    }
  }

  /** Hands out a new lease in the order of the requests, as the meter counted it (`fitNeeds`). */
  #land(
    ledger: QuotaLedger,
    asking: readonly Waiter[],
    { id, limit }: Pick<Block, 'id' | 'limit'>,
    answer: MeterAnswer,
  ): void {
    const nowMs = this.#options.clock.now();
    ledger.free = answer.free;
    const needed = asking.reduce((sum, { units }) => sum + units, 0);
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
    for (const { units, settle, quota, atMs } of asking) {
      if (block.left >= units) {
        block.left -= units;
        settle(block);
      } else {
        ledger.refusal = { ...answer, limit, untilMs: nowMs + refusalMs };
        settle(refuseUnits(ledger, quota, atMs, answer));
      }
    }
    resizeSurplus(ledger, block, nowMs);
  }
}

/** Changes the next surplus by how long the last one lasted. Closes a block that has none: the quota is nearly used up. */
function resizeSurplus(ledger: QuotaLedger, block: Block, nowMs: number): void {
  ledger.lastSurplus = block.left;
  if (block.left === 0) {
    // Units that come back must be available to every process at once.
    closeBlocks(ledger, (known) => known === block);
    return;
  }
  const lastedMs = nowMs - ledger.surplusAtMs;
  if (lastedMs < shortMs) ledger.surplus = Math.min(maxSurplus, ledger.surplus * 2);
  else if (lastedMs > longMs) ledger.surplus = Math.max(firstSurplus, ledger.surplus / 2);
  ledger.surplusAtMs = nowMs;
}

export function quotaUnavailable({ meter }: QuotaLedger, cause?: unknown): EdgewiseError {
  return new EdgewiseError('records_unavailable', `the quota of ${meter} could not be read, try again`, {
    cause,
    retryAfterSeconds: 1,
  });
}
