import { describe, expect, it } from 'vitest';
import { Stops } from '../../../src/governance/policy/stops.ts';
import type { StateStore } from '../../../src/storage/types.ts';
import { ManualClock } from '../../support/clock.ts';
import { memoryStateStore } from '../../support/memory-stores.ts';

const stopped = { since: '2026-12-01T00:00:00.000Z', reason: 'it answers wrongly' };

function isolate(state: StateStore, clock = new ManualClock()) {
  const now = () => Date.parse(stopped.since);
  return { clock, stops: new Stops({ state, clock, defer: (work) => void work, now }) };
}

describe('Stops', () => {
  it('stops one model, and resumes it', async () => {
    const state = memoryStateStore();
    const { stops } = isolate(state);
    expect(await stops.of('acme/vision')).toBeUndefined();
    expect(await stops.stop('acme/vision', stopped.reason)).toEqual(stopped);
    expect(await stops.of('acme/vision')).toEqual(stopped);
    expect(await stops.of('vision')).toBeUndefined();
    expect(await stops.of('constructor')).toBeUndefined();
    expect(await stops.all()).toEqual({ 'acme/vision': stopped });
    expect(await stops.resume('acme/vision')).toBe(true);
    expect(await stops.resume('acme/vision')).toBe(false);
    expect(await stops.of('acme/vision')).toBeUndefined();
  });

  it('keeps the time since when a model is stopped', async () => {
    const state = memoryStateStore();
    await isolate(state).stops.stop('m', stopped.reason);
    const later = new Stops({
      state,
      clock: new ManualClock(),
      defer: (work) => void work,
      now: () => Date.parse('2027-01-01T00:00:00Z'),
    });
    expect(await later.stop('m', 'another reason')).toEqual({ ...stopped, reason: 'another reason' });
  });

  it('take effect everywhere within five seconds, and are answered without a promise until then', async () => {
    const state = memoryStateStore();
    const [here, there] = [isolate(state), isolate(state)];
    expect(await there.stops.of('m')).toBeUndefined();
    await here.stops.stop('m', stopped.reason);
    there.clock.advance(4999);
    expect(await there.stops.of('m')).toBeUndefined();
    there.clock.advance(1);
    expect(await there.stops.of('m')).toEqual(stopped);
    await here.stops.resume('m');
    there.clock.advance(5000);
    expect(await there.stops.of('m')).toBeUndefined();
  });

  it('rejects if the stops cannot be read', async () => {
    const state = memoryStateStore();
    let down = false;
    const failing: StateStore = {
      ...state,
      get: (key) => (down ? Promise.reject(new Error('down')) : state.get(key)),
      getIfChanged: (key, etag) => (down ? Promise.reject(new Error('down')) : state.getIfChanged(key, etag)),
    };
    const { clock, stops } = isolate(failing);
    expect(await stops.of('m')).toBeUndefined();
    down = true;
    clock.advance(5000);
    await expect(stops.of('m')).rejects.toMatchObject({ code: 'records_unavailable' });
  });

  it('loses none of many concurrent changes', async () => {
    const state = memoryStateStore();
    const names = Array.from({ length: 8 }, (_, index) => `m${index}`);
    await Promise.all(names.map((name) => isolate(state).stops.stop(name, 'r')));
    expect(Object.keys(await isolate(state).stops.all()).sort()).toEqual(names);
  });

  it('refuses an empty reason and an invalid model name', async () => {
    const { stops } = isolate(memoryStateStore());
    await expect(stops.stop('m', '')).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(stops.stop('no model', 'r')).rejects.toMatchObject({ code: 'invalid_request' });
  });
});
