/** The contract of every `Meters` driver. Runs in Node, and in workerd over the real Durable Object. */
import { describe, expect, it } from 'vitest';
import type { ExchangeUnits } from '../../../src/governance/quota/lease-exchange.ts';
import type { MeterRequest } from '../../../src/governance/quota/meter-state.ts';
import type { GrantedUnits, Meters, Taken } from '../../../src/governance/quota/types.ts';
import type { Quota } from '../../../src/repository/terms.ts';

export interface MetersUnderTest {
  /** Returns the meters of one process; several processes count together. */
  process(): Meters;
  /** Waits for the work that processes do after their answers. */
  settled(): Promise<void>;
}

/** Noon today: the real object uses the real time, and takes nothing for periods that ended long ago. */
export const noonMs = new Date().setUTCHours(12, 0, 0, 0);

let meters = 0;
/** Returns an unused meter. */
export function newMeter(): string {
  meters += 1;
  return `grant:g${meters}`;
}

export function quotaOf(units: number, per: Quota['per'] = 'month'): Quota {
  return { units, per };
}

export function isGranted(taken: Taken): taken is GrantedUnits {
  return taken.granted;
}

export async function takeMany(
  processes: readonly Meters[],
  count: number,
  take: (meters: Meters) => Taken | Promise<Taken>,
): Promise<Taken[]> {
  const asked = Array.from({ length: count }, (_, at) => {
    const process = processes[at % processes.length];
    if (process === undefined) throw new Error('no process to ask');
    return take(process);
  });
  return Promise.all(asked);
}

export function metersContract(name: string, set: () => MetersUnderTest | Promise<MetersUnderTest>): void {
  describe(`Meters: ${name}`, () => {
    it('grants exactly 100 of 200 parallel calls under a quota of 100', async () => {
      const { process } = await set();
      const meter = newMeter();
      const taken = await takeMany([process()], 200, (one) => one.take(meter, quotaOf(100), 1, noonMs));
      expect(taken.filter(isGranted)).toHaveLength(100);
    });

    it('grants exactly 100 of 200 parallel calls in four processes', async () => {
      const { process } = await set();
      const processes = [process(), process(), process(), process()];
      const meter = newMeter();
      const taken = await takeMany(processes, 200, (one) => one.take(meter, quotaOf(100), 1, noonMs));
      expect(taken.filter(isGranted)).toHaveLength(100);
    });

    it('reports the remaining units and the time until the reset', async () => {
      const { process } = await set();
      const meter = newMeter();
      const taken = await process().take(meter, quotaOf(10, 'day'), 3, noonMs);
      expect(taken).toMatchObject({ granted: true, remaining: 7, resetSeconds: 12 * 3600 });
      expect(taken.quota).toEqual(quotaOf(10, 'day'));
    });

    it('grants all units of a request or none', async () => {
      const { process } = await set();
      const one = process();
      const meter = newMeter();
      expect((await one.take(meter, quotaOf(10), 7, noonMs)).granted).toBe(true);
      expect(await one.take(meter, quotaOf(10), 4, noonMs)).toMatchObject({ granted: false, remaining: 3 });
      expect((await one.take(meter, quotaOf(10), 3, noonMs)).granted).toBe(true);
      expect((await one.take(meter, quotaOf(10), 1, noonMs)).granted).toBe(false);
    });

    it('does not charge a failed run', async () => {
      const { process, settled } = await set();
      const one = process();
      const meter = newMeter();
      const first = await one.take(meter, quotaOf(2), 2, noonMs);
      if (!isGranted(first)) throw new Error('expected two units of two to be granted');
      first.giveBack();
      first.giveBack();
      await settled();
      const second = await process().take(meter, quotaOf(2), 2, noonMs);
      expect(second.granted).toBe(true);
      expect((await one.take(meter, quotaOf(2), 1, noonMs)).granted).toBe(false);
    });

    it('counts a request in the period of its own time, in any order of arrival', async () => {
      const { process } = await set();
      const one = process();
      const meter = newMeter();
      const quota = quotaOf(1, 'day');
      const lastMs = noonMs + 12 * 3_600_000 - 1;
      expect((await one.take(meter, quota, 1, lastMs + 1)).granted).toBe(true);
      expect((await one.take(meter, quota, 1, lastMs)).granted).toBe(true);
      expect(await one.take(meter, quota, 1, lastMs)).toMatchObject({ granted: false, resetSeconds: 1 });
      expect((await one.take(meter, quota, 1, lastMs + 1)).granted).toBe(false);
    });

    it('has no reset time for a total quota', async () => {
      const { process } = await set();
      const one = process();
      const meter = newMeter();
      const first = await one.take(meter, quotaOf(1, 'total'), 1, noonMs);
      expect(first).toMatchObject({ granted: true, resetSeconds: undefined });
      const later = await process().take(meter, quotaOf(1, 'total'), 1, noonMs + 1e12);
      expect(later).toMatchObject({ granted: false, resetSeconds: undefined });
    });

    it('counts meters apart', async () => {
      const { process } = await set();
      const one = process();
      expect((await one.take(newMeter(), quotaOf(1), 1, noonMs)).granted).toBe(true);
      expect((await one.take(newMeter(), quotaOf(1), 1, noonMs)).granted).toBe(true);
    });

    it('grants without a promise from a lease, and never more than the quota', async () => {
      const { process, settled } = await set();
      const one = process();
      const meter = newMeter();
      let granted = 0;
      let atOnce = 0;
      for (let asked = 0; asked < 2100; asked += 1) {
        const taken = one.take(meter, quotaOf(2000), 1, noonMs);
        if (!(taken instanceof Promise)) atOnce += 1;
        if ((await taken).granted) granted += 1;
        if (asked % 8 === 0) await settled();
      }
      expect(granted).toBe(2000);
      expect(atOnce).toBeGreaterThan(1000);
    });

    it('applies the present quota', async () => {
      const { process } = await set();
      const one = process();
      const meter = newMeter();
      expect((await one.take(meter, quotaOf(1), 1, noonMs)).granted).toBe(true);
      expect((await one.take(meter, quotaOf(1), 1, noonMs)).granted).toBe(false);
      expect((await one.take(meter, quotaOf(2), 1, noonMs)).granted).toBe(true);
    });
  });
}

/** The contract of a meter, as processes ask it. */
export function exchangeContract(name: string, exchange: ExchangeUnits): void {
  const nothing = { granted: 0, free: 0, mayReturn: false };
  const total: MeterRequest = {
    period: { key: 'total', endsAtMs: Infinity },
    limit: 1000,
    settlements: [],
    lease: undefined,
  };

  describe(`ExchangeUnits: ${name}`, () => {
    it('acts on a request once, however often it arrives', async () => {
      const meter = newMeter();
      const request = { ...total, lease: { id: 'lease', needs: [2, 3], surplus: 100 } };
      const first = await exchange(meter, request);
      expect(first).toEqual({ granted: 5 + 14, free: 1000 - 19, mayReturn: false });
      expect(await exchange(meter, request)).toEqual(first);
      const back = { ...total, settlements: [{ id: 'lease', returned: 9, isClosed: true }] };
      expect((await exchange(meter, back)).free).toBe(990);
      expect((await exchange(meter, back)).free).toBe(990);
    });

    it('applies the report with the most returned units, in any order of arrival', async () => {
      const meter = newMeter();
      await exchange(meter, { ...total, lease: { id: 'lease', needs: [20], surplus: 0 } });
      const report = async (id: string, returned: number | 'all') =>
        (await exchange(meter, { ...total, settlements: [{ id, returned, isClosed: false }] })).free;
      expect(await report('lease', 9)).toBe(989);
      expect(await report('lease', 4)).toBe(989);
      expect(await report('other', 4)).toBe(989);
      expect(await report('lease', 'all')).toBe(1000);
      expect(await report('lease', 50)).toBe(1000);
    });

    it('grants the needs that fit, first come, first served', async () => {
      const meter = newMeter();
      const request = { ...total, limit: 10, lease: { id: 'lease', needs: [6, 5, 3, 2], surplus: 4 } };
      expect(await exchange(meter, request)).toEqual({ granted: 9, free: 1, mayReturn: false });
    });

    it('reports that units may come back while another process holds a surplus', async () => {
      const meter = newMeter();
      const want = (id: string, units: number) => ({ ...total, lease: { id, needs: [units], surplus: 256 } });
      expect(await exchange(meter, want('one', 1))).toMatchObject({ granted: 1 + 14, mayReturn: false });
      expect(await exchange(meter, want('two', 990))).toMatchObject({ granted: 0, mayReturn: true });
      await exchange(meter, { ...total, settlements: [{ id: 'one', returned: 14, isClosed: true }] });
      expect(await exchange(meter, want('three', 1000))).toMatchObject({ granted: 0, mayReturn: false });
    });

    it('grants nothing for a period that ended over a day ago, because its count may be forgotten', async () => {
      const lease = { id: 'lease', needs: [1], surplus: 0 };
      const ended = (hours: number) => ({ key: `day ${hours}`, endsAtMs: noonMs - hours * 3_600_000 });
      expect(await exchange(newMeter(), { ...total, period: ended(72), lease })).toEqual(nothing);
      expect(await exchange(newMeter(), { ...total, period: ended(6), lease })).toMatchObject({ granted: 1 });
    });
  });
}
