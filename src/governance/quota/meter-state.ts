/**
 * What the one place decides that counts a meter. Processes lease units from it and answer for them by themselves; what
 * they say of a lease later can only give units back that they had and did not use.
 *
 * No clock decides whether a unit may be used: a lease is for the units of one period, a request belongs to the period of
 * its receipt's time, and a unit that is out counts as used until its holder, who has forgotten it by then, says that it
 * was not. A holder that dies says nothing: what it held stays used. So whatever clocks, networks and processes do, no more
 * than the quota is used; what they can do is to have some of it used by nobody.
 */

export interface StoredLease {
  readonly period: string;
  readonly units: number;
  /** Of these, units that came back. */
  readonly returned: number;
  /** Whether some more may be expected to come back soon. */
  readonly isOpen: boolean;
  /** By the clock of the place that counts. */
  readonly leasedAtMs: number;
}

/** Small, transactional storage. Drivers: memory, and a Durable Object's SQLite. */
export interface MeterStore {
  /** Units of the period that are leased or used; 0 where nothing is known of it. */
  taken(period: string): number;
  take(period: string, units: number, endsAtMs: number): void;
  giveBack(period: string, units: number): void;
  lease(id: string): StoredLease | undefined;
  putLease(id: string, lease: StoredLease): void;
  hasOpenLease(period: string): boolean;
  forgetLeases(leasedBeforeMs: number): void;
  forgetPeriods(endedBeforeMs: number): void;
}

/** What a holder says of a lease: in all so many units came back. Saying it again, or an older thing later, changes nothing. */
export interface LeaseReport {
  readonly id: string;
  /** `all` of a lease that its holder never got to know of. */
  readonly returned: number | 'all';
  readonly isClosed: boolean;
}

export interface RequestedLease {
  /** Made up by the holder. The same id gets the same lease. */
  readonly id: string;
  /** Units that requests wait for, in the order of the requests: each gets all of its units or none. */
  readonly needs: readonly number[];
  /** Units that the holder would like beyond these. */
  readonly surplus: number;
}

export interface MeterRequest {
  readonly period: { readonly key: string; readonly endsAtMs: number };
  /** Units of the quota. */
  readonly limit: number;
  readonly settlements: readonly LeaseReport[];
  readonly lease: RequestedLease | undefined;
}

export interface MeterAnswer {
  readonly granted: number;
  /** Units that nobody has, afterwards. */
  readonly free: number;
  /** Whether units that somebody else has may come back soon; only said where some were wanted in vain. */
  readonly mayReturn: boolean;
}

/** As many parts of what is free are a surplus at most: what lies with one holder is missing to the others. */
const partsOfFree = 64;
export const maxSurplus = 256;
/** So long a lease is known by its id; what is said of it later counts for nothing. Longer than any request runs. */
const leaseLifeMs = 10 * 60_000;
/** After its end, a period takes requests that came before it; it is forgotten well after it takes none. */
const latestRequestMs = 24 * 3_600_000;
const periodLifeMs = 2 * latestRequestMs;

/**
 * Settles, then leases, as one step.
 *
 * @param nowMs Milliseconds since 1970, by the clock of the place that counts: only for what to forget.
 */
export function settleAndLease(store: MeterStore, request: MeterRequest, nowMs: number): MeterAnswer {
  for (const settlement of request.settlements) settle(store, settlement);
  const { period, limit } = request;
  // It may be forgotten, and would count from zero.
  if (period.endsAtMs < nowMs - latestRequestMs) return { granted: 0, free: 0, mayReturn: false };
  const granted = request.lease === undefined ? 0 : lease(store, request, request.lease, nowMs);
  const needed = request.lease?.needs.reduce((sum, units) => sum + units, 0) ?? 0;
  return {
    granted,
    free: Math.max(0, limit - store.taken(period.key)),
    mayReturn: granted < needed && store.hasOpenLease(period.key),
  };
}

/** Forgets what nothing depends on any more. Cheap, but not for every exchange. */
export function sweep(store: MeterStore, nowMs: number): void {
  store.forgetLeases(nowMs - leaseLifeMs);
  store.forgetPeriods(nowMs - periodLifeMs);
}

function lease(
  store: MeterStore,
  { period, limit }: MeterRequest,
  wanted: RequestedLease,
  nowMs: number,
): number {
  const known = store.lease(wanted.id);
  if (known !== undefined) return known.units;
  const taken = store.taken(period.key);
  const { needed, isAll } = fitting(wanted.needs, limit - taken);
  const surplus = isAll ? surplusOf(limit - taken - needed, wanted.surplus) : 0;
  const units = needed + surplus;
  if (units === 0) return 0;
  store.take(period.key, units, period.endsAtMs);
  store.putLease(wanted.id, {
    period: period.key,
    units,
    returned: 0,
    isOpen: surplus > 0,
    leasedAtMs: nowMs,
  });
  return units;
}

/** Units of the requests that get theirs, first come, first served. The holder hands them out in the same way. */
function fitting(needs: readonly number[], free: number): { needed: number; isAll: boolean } {
  let needed = 0;
  let isAll = true;
  for (const units of needs) {
    if (needed + units <= free) needed += units;
    else isAll = false;
  }
  return { needed, isAll };
}

function surplusOf(free: number, wanted: number): number {
  return Math.min(wanted, maxSurplus, Math.max(0, Math.floor(free / partsOfFree) - 1));
}

function settle(store: MeterStore, { id, returned, isClosed }: LeaseReport): void {
  const known = store.lease(id);
  if (known === undefined) return;
  const inAll = Math.min(returned === 'all' ? known.units : returned, known.units);
  const more = Math.max(0, inAll - known.returned);
  const isOpen = known.isOpen && !isClosed;
  if (more === 0 && isOpen === known.isOpen) return;
  store.putLease(id, { ...known, returned: known.returned + more, isOpen });
  store.giveBack(known.period, more);
}
