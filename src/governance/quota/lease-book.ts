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
  type Account,
  type Block,
  closeBlocks,
  firstSurplus,
  newAccount,
  putBack,
  refused,
  returnSeconds,
  takeFromBlock,
  unitsAtHand,
  type Waiter,
} from './account.ts';
import { type Exchange, type Exchanged, maxSurplus } from './meter-state.ts';
import { isWithin, periodOf, secondsLeft } from './period.ts';
import type { GrantedUnits, Meters, Taken } from './types.ts';

/** Asks the one place that counts `meter`. What is asked may be repeated: it is done once, by the ids in it. */
export type ExchangeUnits = (meter: string, request: Exchange) => Promise<Exchanged>;

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
  const accounts = new Map<string, Account[]>();
  let prefix: string | undefined;
  let leases = 0;

  function accountOf(meter: string, quota: Quota, atMs: number, nowMs: number): Account {
    const found = accounts.get(meter)?.find(({ per, period }) => per === quota.per && isWithin(period, atMs));
    if (found !== undefined && !isStuck(found, nowMs)) return found;
    const account = newAccount(meter, quota, periodOf(quota.per, atMs));
    if (found !== undefined) {
      account.blocks = found.blocks;
      found.blocks = [];
      letGo(found);
    }
    accounts.set(meter, [...(accounts.get(meter) ?? []), account]);
    return account;
  }

  function granted(account: Account, block: Block, quota: Quota, units: number, atMs: number): GrantedUnits {
    let isGivenBack = false;
    return {
      granted: true,
      quota,
      remaining: account.free + unitsAtHand(account),
      resetSeconds: secondsLeft(account.period, atMs),
      giveBack() {
        if (isGivenBack) return;
        isGivenBack = true;
        putBack(account, block, units);
        account.refusal = undefined;
        if (block.isClosed) flush(account);
      },
    };
  }

  /** One exchange of an account at a time: who wants units meanwhile waits for the next. */
  async function run(
    account: Account,
    asked: readonly Waiter[],
    limit: number,
    surplus?: number,
  ): Promise<void> {
    prefix ??= name();
    const id = `${prefix}-${leases++}`;
    const { period, settlements } = account;
    account.settlements = new Map();
    account.isOwing = false;
    account.exchangingSinceMs = clock.now();
    try {
      const answer = await exchange(account.meter, {
        period: { key: period.key, endsAtMs: period.endsAtMs },
        limit,
        settlements: [...settlements.values()],
        lease: surplus === undefined ? undefined : { id, needs: asked.map(({ units }) => units), surplus },
      });
      if (surplus !== undefined) land(account, asked, { id, limit }, answer);
      if (account.isLetGo) closeBlocks(account);
      account.exchangingSinceMs = undefined;
      serve(account);
      if (account.isOwing) flush(account);
    } catch (cause) {
      // Whether it was done is not known: what was said is said again, and the lease is not used.
      const again = new Map(settlements);
      if (surplus !== undefined) again.set(id, { id, returned: 'all', isClosed: true });
      for (const [of, settlement] of account.settlements) again.set(of, settlement);
      account.settlements = new Map([...again].slice(-maxSettlements));
      account.isOwing = true;
      for (const { settled } of asked) settled(unavailable(account, cause));
      account.exchangingSinceMs = undefined;
      serve(account);
    }
  }

  /** Hands out a new lease, in the order that the units were asked for: as they were counted (`fitting`). */
  function land(
    account: Account,
    asked: readonly Waiter[],
    { id, limit }: Pick<Block, 'id' | 'limit'>,
    answer: Exchanged,
  ): void {
    const nowMs = clock.now();
    account.free = answer.free;
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
    account.blocks.push(block);
    for (const { units, settled, quota, atMs } of asked) {
      const isServed = block.left >= units;
      if (isServed) {
        block.left -= units;
        settled(block);
      } else {
        account.refusal = { ...answer, limit, untilMs: nowMs + refusalMs };
        settled(refused(account, quota, atMs, answer));
      }
    }
    resize(account, block, nowMs);
  }

  function resize(account: Account, block: Block, nowMs: number): void {
    account.lastSurplus = block.left;
    if (block.left === 0) {
      // The end of the quota is near: what comes back of it is to be had by all at once.
      closeBlocks(account, (known) => known === block);
      return;
    }
    const lastedMs = nowMs - account.surplusAtMs;
    if (lastedMs < shortMs) account.surplus = Math.min(maxSurplus, account.surplus * 2);
    else if (lastedMs > longMs) account.surplus = Math.max(firstSurplus, account.surplus / 2);
    account.surplusAtMs = nowMs;
  }

  function serve(account: Account): void {
    const unserved: Waiter[] = [];
    for (const waiter of account.waiting) {
      const block = takeFromBlock(account, waiter.units, waiter.quota.units);
      if (block === undefined) unserved.push(waiter);
      else waiter.settled(block);
    }
    account.waiting = unserved;
    const [first] = unserved;
    if (account.exchangingSinceMs !== undefined || first === undefined) return;
    // Those of another quota, as it was before a change or in another version of the model, are the next ones.
    const limit = first.quota.units;
    account.waiting = unserved.filter(({ quota }) => quota.units !== limit);
    const asked = unserved.filter(({ quota }) => quota.units === limit);
    // What is at hand is not enough for any of them: the place that counts puts it together with what others left.
    closeBlocks(account);
    defer(run(account, asked, limit, account.surplus));
  }

  function refill(account: Account, limit: number): void {
    closeBlocks(account, ({ left }) => left === 0);
    defer(run(account, [], limit, account.surplus));
  }

  /** Tells what there is to tell, where nothing else is going to soon. */
  function flush(account: Account): void {
    if (account.exchangingSinceMs !== undefined || !account.isOwing) return;
    defer(run(account, [], 0));
  }

  function wait(account: Account, quota: Quota, units: number, atMs: number): Promise<Taken> {
    return new Promise((resolve, reject) => {
      let isGone = false;
      const cancel = clock.after(patienceMs, () => {
        isGone = true;
        reject(unavailable(account, undefined));
      });
      const settled: Waiter['settled'] = (result) => {
        cancel();
        if (result instanceof Error) reject(result);
        else if ('granted' in result) resolve(result);
        else if (isGone) putBack(account, result, units);
        else resolve(granted(account, result, quota, units, atMs));
      };
      account.waiting.push({ units, quota, atMs, settled });
      serve(account);
    });
  }

  /** Begins anew while the account is used, so that each watch outlives a request that may have been the last. */
  function watch(account: Account, nowMs: number): void {
    if (nowMs - account.watchedAtMs < watchAgainMs) return;
    account.watchedAtMs = nowMs;
    closeBlocks(account, ({ leasedAtMs }) => nowMs - leasedAtMs > maxBlockMs);
    const over = new Promise<void>((resolve) => {
      clock.after(watchMs, resolve);
    });
    defer(over.then(() => (account.watchedAtMs === nowMs ? letGo(account) : undefined)));
  }

  function letGo(account: Account): void {
    const others = accounts.get(account.meter)?.filter((other) => other !== account) ?? [];
    if (others.length === 0) accounts.delete(account.meter);
    else accounts.set(account.meter, others);
    account.isLetGo = true;
    closeBlocks(account);
    flush(account);
  }

  return {
    take(meter, quota, units, atMs) {
      if (!(units >= 1)) {
        throw new EdgewiseError('internal', `${units} units of ${meter} cannot be taken, wanted 1 at least`);
      }
      const nowMs = clock.now();
      const account = accountOf(meter, quota, atMs, nowMs);
      watch(account, nowMs);
      const block = account.waiting.length === 0 ? takeFromBlock(account, units, quota.units) : undefined;
      if (block !== undefined) {
        const isLow = unitsAtHand(account) * 2 < account.lastSurplus;
        if (isLow && account.exchangingSinceMs === undefined) refill(account, quota.units);
        return granted(account, block, quota, units, atMs);
      }
      const { refusal } = account;
      if (refusal?.limit === quota.units && nowMs < refusal.untilMs && units > refusal.free) {
        return refused(account, quota, atMs, refusal);
      }
      return wait(account, quota, units, atMs);
    },
  };
}

/** The request that asked may have been ended by the platform, and its exchange with it. */
function isStuck({ exchangingSinceMs }: Account, nowMs: number): boolean {
  return exchangingSinceMs !== undefined && nowMs - exchangingSinceMs > patienceMs;
}

function unavailable({ meter }: Account, cause: unknown): EdgewiseError {
  return new EdgewiseError('records_unavailable', `what is left of the quota of ${meter} could not be read`, {
    cause,
    retryAfterSeconds: 1,
  });
}
