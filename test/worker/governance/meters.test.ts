/** Meters over the real Durable Object and its SQLite. */
import { evictDurableObject, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/async/clock.ts';
import { durableObjectMeters } from '../../../src/durable-objects/meter-driver.ts';
import { LeaseBook } from '../../../src/governance/quota/lease-book.ts';
import type { ExchangeUnits } from '../../../src/governance/quota/lease-exchange.ts';
import {
  exchangeContract,
  isGranted,
  metersContract,
  newMeter,
  noonMs,
  quotaOf,
  takeMany,
} from '../../governance/quota/contract.ts';

const exchange = durableObjectMeters(env.METERS);

function processes() {
  let deferred: Promise<unknown>[] = [];
  return {
    process: (through: ExchangeUnits = exchange) =>
      new LeaseBook({
        exchange: through,
        // Without timers: the watch over unused units would outlast the test.
        clock: { now: () => systemClock.now(), after: () => () => {} },
        defer: (work) => deferred.push(work),
        name: () => crypto.randomUUID(),
      }),
    async settled() {
      const work = deferred;
      deferred = [];
      await Promise.race([Promise.all(work), scheduler.wait(20)]);
    },
  };
}

metersContract('Durable Object', processes);
exchangeContract('Durable Object', exchange);

describe('GrantMeter', () => {
  it('keeps its counts when it is evicted', async () => {
    const { process } = processes();
    const meter = newMeter();
    const before = await takeMany([process()], 60, (one) => one.take(meter, quotaOf(100), 1, noonMs));
    expect(before.filter(isGranted)).toHaveLength(60);
    await evictDurableObject(env.METERS.getByName(meter));
    const after = await takeMany([process()], 60, (one) => one.take(meter, quotaOf(100), 1, noonMs));
    expect(after.filter(isGranted)).toHaveLength(40);
  });

  it('grants exactly the quota if it is evicted between calls', async () => {
    const { process } = processes();
    const meter = newMeter();
    const evicting: ExchangeUnits = async (of, request) => {
      const answer = await exchange(of, request);
      await evictDurableObject(env.METERS.getByName(of));
      return answer;
    };
    const all = [process(evicting), process(evicting)];
    let granted = 0;
    for (let round = 0; round < 15; round += 1) {
      const taken = await takeMany(all, 10, (one) => one.take(meter, quotaOf(100), 1, noonMs));
      granted += taken.filter(isGranted).length;
    }
    expect(granted).toBe(100);
  });

  it('stores only counts and meaningless ids', async () => {
    const { process } = processes();
    const meter = 'grant:marker-5d1f';
    await process().take(meter, quotaOf(100), 1, noonMs);
    const stored = await runInDurableObject(env.METERS.getByName(meter), (_, { storage }) => [
      ...storage.sql.exec('SELECT * FROM periods'),
      ...storage.sql.exec('SELECT * FROM leases'),
    ]);
    expect(stored).toHaveLength(2);
    expect(JSON.stringify(stored)).not.toContain('marker-5d1f');
  });
});
