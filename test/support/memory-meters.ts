/** Meters in the memory of the process: for tests, and for a single server. */
import {
  type MeterAnswer,
  type MeterRequest,
  type MeterStore,
  type StoredLease,
  settleAndLease,
  sweep,
} from '../../src/governance/quota/meter-state.ts';

export function memoryMeterStore(): MeterStore {
  const periods = new Map<string, { taken: number; readonly endsAtMs: number }>();
  const leases = new Map<string, StoredLease>();
  return {
    taken: (period) => periods.get(period)?.taken ?? 0,
    take(period, units, endsAtMs) {
      const known = periods.get(period);
      if (known === undefined) periods.set(period, { taken: units, endsAtMs });
      else known.taken += units;
    },
    giveBack(period, units) {
      const known = periods.get(period);
      if (known !== undefined) known.taken -= units;
    },
    lease: (id) => leases.get(id),
    putLease: (id, lease) => leases.set(id, lease),
    hasOpenLease: (period) => [...leases.values()].some((lease) => lease.isOpen && lease.period === period),
    forgetLeases(leasedBeforeMs) {
      for (const [id, { leasedAtMs }] of leases) if (leasedAtMs < leasedBeforeMs) leases.delete(id);
    },
    forgetPeriods(endedBeforeMs) {
      for (const [key, { endsAtMs }] of periods) if (endsAtMs < endedBeforeMs) periods.delete(key);
    },
  };
}

/** @param now Milliseconds since 1970. */
export function memoryMeters(
  now: () => number,
): (meter: string, request: MeterRequest) => Promise<MeterAnswer> {
  const stores = new Map<string, MeterStore>();
  return async (meter, request) => {
    const store = stores.get(meter) ?? memoryMeterStore();
    stores.set(meter, store);
    sweep(store, now());
    return settleAndLease(store, request, now());
  };
}
