import { beforeEach, describe, expect, it } from 'vitest';
import { SingleFlight } from '../../src/async/single-flight.ts';
import { ManualClock } from '../support/clock.ts';

let clock: ManualClock;
let deferred: Promise<unknown>[];
let flights: SingleFlight<string, number>;
beforeEach(() => {
  clock = new ManualClock();
  deferred = [];
  flights = new SingleFlight({ clock, defer: (work) => void deferred.push(work), patienceMs: 1000 });
});

/** Creates work whose runs wait for gates, and counts them. */
function createWork() {
  let started = 0;
  const gates: PromiseWithResolvers<number>[] = [];
  return {
    run: () => {
      started += 1;
      const gate = Promise.withResolvers<number>();
      gates.push(gate);
      return gate.promise;
    },
    gates,
    get started() {
      return started;
    },
  };
}

describe('SingleFlight.run()', () => {
  it('runs the work once for concurrent callers of a key, and again for later callers', async () => {
    const reading = createWork();
    const asked = Promise.all(['a', 'a', 'a', 'b'].map((key) => flights.run(key, reading.run)));
    expect(reading.started).toBe(2);
    reading.gates[0]?.resolve(1);
    reading.gates[1]?.resolve(2);
    expect(await asked).toEqual([1, 1, 1, 2]);
    void flights.run('a', reading.run);
    expect(reading.started).toBe(3);
    // Each flight outlives the request that started it.
    expect(deferred).toHaveLength(3);
    expect(clock.pending).toBe(0);
  });

  it('rejects all callers with the error of the work, and forgets the flight', async () => {
    const reading = createWork();
    const both = Promise.allSettled([flights.run('a', reading.run), flights.run('a', reading.run)]);
    const error = new Error('no');
    reading.gates[0]?.reject(error);
    expect(await both).toEqual([
      { status: 'rejected', reason: error },
      { status: 'rejected', reason: error },
    ]);
    await expect(Promise.all(deferred)).resolves.toBeDefined();
    await expect(flights.run('a', async () => 2)).resolves.toBe(2);
  });

  it('repeats the work for a caller that waited for a dead flight', async () => {
    const reading = createWork();
    void flights.run('a', reading.run);
    const waiting = flights.run('a', reading.run);
    clock.advance(1000);
    await expect.poll(() => reading.started).toBe(2);
    reading.gates[1]?.resolve(7);
    expect(await waiting).toBe(7);
  });

  it('does not join a flight older than patienceMs', () => {
    const reading = createWork();
    void flights.run('a', reading.run);
    clock.advance(1000);
    void flights.run('a', reading.run);
    expect(reading.started).toBe(2);
  });

  it('does not join a forgotten flight', async () => {
    const reading = createWork();
    const before = flights.run('a', reading.run);
    flights.forget('a');
    const after = flights.run('a', reading.run);
    const joined = flights.run('a', reading.run);
    expect(reading.started).toBe(2);
    reading.gates[0]?.resolve(1);
    expect(await before).toBe(1);
    // The end of the first does not end the second.
    const more = flights.run('a', reading.run);
    expect(reading.started).toBe(2);
    reading.gates[1]?.resolve(2);
    expect(await Promise.all([after, joined, more])).toEqual([2, 2, 2]);
  });
});
