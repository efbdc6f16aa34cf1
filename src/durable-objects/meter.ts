/** A meter: the Durable Object with the meter's name, which counts it in its SQLite storage. */
import { DurableObject } from 'cloudflare:workers';
import {
  type MeterAnswer,
  type MeterRequest,
  type MeterStore,
  type StoredLease,
  settleAndLease,
  sweep,
} from '../governance/quota/meter-state.ts';

const sweepEveryMs = 60_000;

/** Stores only counts and random ids. Only the object's name identifies the grant or tenant. */
export class GrantMeter extends DurableObject<Env> {
  readonly #storage: DurableObjectStorage;
  readonly #store: MeterStore;
  #sweptAtMs = 0;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#storage = state.storage;
    this.#store = sqlMeterStore(state.storage.sql);
  }

  /** Runs as one transaction. The answer leaves once it is durable. */
  exchange(request: MeterRequest): MeterAnswer {
    const nowMs = Date.now();
    return this.#storage.transactionSync(() => {
      if (nowMs - this.#sweptAtMs > sweepEveryMs) {
        this.#sweptAtMs = nowMs;
        sweep(this.#store, nowMs);
      }
      return settleAndLease(this.#store, request, nowMs);
    });
  }
}

/** A period that never ends has NULL as its end. */
function sqlMeterStore(sql: SqlStorage): MeterStore {
  sql.exec(`
    CREATE TABLE IF NOT EXISTS periods (period TEXT PRIMARY KEY, taken INTEGER NOT NULL, ends_at_ms INTEGER) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS leases (
      id TEXT PRIMARY KEY, period TEXT NOT NULL, units INTEGER NOT NULL, returned INTEGER NOT NULL,
      is_open INTEGER NOT NULL, leased_at_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
  `);
  return {
    taken(period) {
      const [row] = sql.exec<{ taken: number }>('SELECT taken FROM periods WHERE period = ?', period);
      return row?.taken ?? 0;
    },
    take(period, units, endsAtMs) {
      sql.exec(
        `INSERT INTO periods VALUES (?, ?, ?) ON CONFLICT (period) DO UPDATE SET taken = taken + excluded.taken`,
        period,
        units,
        Number.isFinite(endsAtMs) ? endsAtMs : null,
      );
    },
    giveBack(period, units) {
      sql.exec('UPDATE periods SET taken = taken - ? WHERE period = ?', units, period);
    },
    lease(id) {
      const [row] = sql.exec<LeaseRow>('SELECT * FROM leases WHERE id = ?', id);
      return row && leaseOf(row);
    },
    putLease(id, { period, units, returned, isOpen, leasedAtMs }) {
      const values = [id, period, units, returned, isOpen ? 1 : 0, leasedAtMs];
      sql.exec('INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?)', ...values);
    },
    hasOpenLease(period) {
      const open = sql.exec('SELECT 1 FROM leases WHERE period = ? AND is_open = 1 LIMIT 1', period);
      return open.toArray().length > 0;
    },
    forgetLeases(leasedBeforeMs) {
      sql.exec('DELETE FROM leases WHERE leased_at_ms < ?', leasedBeforeMs);
    },
    forgetPeriods(endedBeforeMs) {
      sql.exec('DELETE FROM periods WHERE ends_at_ms < ?', endedBeforeMs);
    },
  };
}

interface LeaseRow extends Record<string, SqlStorageValue> {
  readonly period: string;
  readonly units: number;
  readonly returned: number;
  readonly is_open: number;
  readonly leased_at_ms: number;
}

function leaseOf(row: LeaseRow): StoredLease {
  return {
    period: row.period,
    units: row.units,
    returned: row.returned,
    isOpen: row.is_open === 1,
    leasedAtMs: row.leased_at_ms,
  };
}
