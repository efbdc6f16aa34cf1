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

/** Work that ends when a test says so. */
function work() {
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
  it('does the work once for all who ask while it is under way, and again for who asks later', async () => {
    const reading = work();
    const asked = Promise.all(['a', 'a', 'a', 'b'].map((key) => flights.run(key, reading.run)));
    expect(reading.started).toBe(2);
    reading.gates[0]?.resolve(1);
    reading.gates[1]?.resolve(2);
    expect(await asked).toEqual([1, 1, 1, 2]);
    void flights.run('a', reading.run);
    expect(reading.started).toBe(3);
    // Each outlives the request that began it.
    expect(deferred).toHaveLength(3);
    expect(clock.pending).toBe(0);
  });

  it('fails for all of them with what the work failed with, and is forgotten', async () => {
    const reading = work();
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

  it('lets who waited for a flight that died do the work itself', async () => {
    const reading = work();
    void flights.run('a', reading.run);
    const waiting = flights.run('a', reading.run);
    clock.advance(1000);
    await expect.poll(() => reading.started).toBe(2);
    reading.gates[1]?.resolve(7);
    expect(await waiting).toBe(7);
  });

  it('lets nobody wait for one that has been under way for longer than anybody waits', () => {
    const reading = work();
    void flights.run('a', reading.run);
    clock.advance(1000);
    void flights.run('a', reading.run);
    expect(reading.started).toBe(2);
  });

  it('is not joined after it was forgotten', async () => {
    const reading = work();
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
