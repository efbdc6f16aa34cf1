/**
 * The decisions of a meter: the single place that counts one meter. Processes lease units from it and hand them out by
 * themselves. A later report on a lease can only return units that the process held and did not use.
 *
 * No clock decides whether a unit may be used. A lease is for units of one period, a request belongs to the period of its
 * receipt's time, and a leased unit counts as used until its holder, which no longer has it, reports it as unused. A holder
 * that dies reports nothing, so its units stay used. Whatever clocks, networks and processes do, no more than the quota is
 * used; at worst, some units of it are lost.
 */

export interface StoredLease {
  readonly period: string;
  readonly units: number;
  /** Units of it that were returned. */
  readonly returned: number;
  /** Whether the holder may return more units soon. */
  readonly isOpen: boolean;
  /** By the meter's clock. */
  readonly leasedAtMs: number;
}

/** Small, transactional storage. Drivers: memory, and the SQLite of a Durable Object. */
export interface MeterStore {
  /** Returns the units of the period that are leased or used; 0 for an unknown period. */
  taken(period: string): number;
  take(period: string, units: number, endsAtMs: number): void;
  giveBack(period: string, units: number): void;
  lease(id: string): StoredLease | undefined;
  putLease(id: string, lease: StoredLease): void;
  hasOpenLease(period: string): boolean;
  forgetLeases(leasedBeforeMs: number): void;
  forgetPeriods(endedBeforeMs: number): void;
}

/** A holder's report on a lease. A repeated report, or an older one that arrives later, changes nothing. */
export interface LeaseReport {
  readonly id: string;
  /** Units returned in total; `all` for a lease whose answer never reached its holder. */
  readonly returned: number | 'all';
  readonly isClosed: boolean;
}

export interface RequestedLease {
  /** Chosen by the holder. The same id gets the same lease. */
  readonly id: string;
  /** Units that requests wait for, in the order of the requests. Each request gets all of its units or none. */
  readonly needs: readonly number[];
  /** Units that the holder asks for beyond `needs`. */
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
  /** Units that no process holds after this exchange. */
  readonly free: number;
  /** Whether other processes may return units soon. Only true if some needed units were not granted. */
  readonly mayReturn: boolean;
}

/** A surplus is at most one of this many parts of the free units: units that one process holds are missing to the others. */
const partsOfFree = 64;
export const maxSurplus = 256;
/** How long a lease is known by its id; later reports are ignored. Longer than any request runs. */
const leaseLifeMs = 10 * 60_000;
/** How long after its end a period accepts requests that arrived before its end; it is forgotten well after that. */
const latestRequestMs = 24 * 3_600_000;
const periodLifeMs = 2 * latestRequestMs;

/**
 * Takes in the reports of a request, then leases units to it, in one step.
 *
 * @param nowMs Milliseconds since 1970, by the meter's clock. Decides only what may be forgotten.
 */
export function settleAndLease(store: MeterStore, request: MeterRequest, nowMs: number): MeterAnswer {
  for (const settlement of request.settlements) settle(store, settlement);
  const { period, limit } = request;
  // The period may be forgotten already, and would count from zero.
  if (period.endsAtMs < nowMs - latestRequestMs) return { granted: 0, free: 0, mayReturn: false };
  const granted = request.lease === undefined ? 0 : lease(store, request, request.lease, nowMs);
  const needed = request.lease?.needs.reduce((sum, units) => sum + units, 0) ?? 0;
  return {
    granted,
    free: Math.max(0, limit - store.taken(period.key)),
    mayReturn: granted < needed && store.hasOpenLease(period.key),
  };
}

/** Removes leases and periods that nothing depends on any more. Cheap, but not for every request. */
export function sweep(store: MeterStore, nowMs: number): void {
  store.forgetLeases(nowMs - leaseLifeMs);
  store.forgetPeriods(nowMs - periodLifeMs);
}

function lease(
  store: MeterStore,
  { period, limit }: MeterRequest,
  requested: RequestedLease,
  nowMs: number,
): number {
  const known = store.lease(requested.id);
  if (known !== undefined) return known.units;
  const taken = store.taken(period.key);
  const { needed, isAll } = fitNeeds(requested.needs, limit - taken);
  const surplus = isAll ? surplusOf(limit - taken - needed, requested.surplus) : 0;
  const units = needed + surplus;
  if (units === 0) return 0;
  store.take(period.key, units, period.endsAtMs);
  store.putLease(requested.id, {
    period: period.key,
    units,
    returned: 0,
    isOpen: surplus > 0,
    leasedAtMs: nowMs,
  });
  return units;
}

/** Adds up the needs that fit into `free`, first come, first served. The holder hands the units out in the same way. */
function fitNeeds(needs: readonly number[], free: number): { needed: number; isAll: boolean } {
  let needed = 0;
  let isAll = true;
  for (const units of needs) {
    if (needed + units <= free) needed += units;
    else isAll = false;
  }
  return { needed, isAll };
}

function surplusOf(free: number, requested: number): number {
  return Math.min(requested, maxSurplus, Math.max(0, Math.floor(free / partsOfFree) - 1));
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
