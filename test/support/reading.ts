import { type Clock, systemClock } from '../../src/async/clock.ts';
import type { BodyReading } from '../../src/http/body/reading.ts';
import type { Reading } from '../../src/http/body/sent.ts';
import { ByteBudget } from '../../src/scheduler/byte-budget.ts';

export interface TestReadingOptions {
  readonly clock?: Clock;
  readonly maxBytes?: number;
}

/** Settings with which a test server reads bodies. */
export function testBodies({
  clock = systemClock,
  maxBytes = 2 ** 30,
}: TestReadingOptions = {}): BodyReading {
  return {
    budget: new ByteBudget({ maxBytes, key: 'EDGEWISE_MAX_BODIES_MIB', clock }),
    pace: { windowMs: 10_000, minBytesPerSecond: 16_384 },
    leaseMs: 60_000,
    endsWithCaller: false,
    clock,
  };
}

/** Settings with which one body is read. */
export function testReading(bodies: BodyReading = testBodies()): Reading {
  const { budget, clock, leaseMs, pace } = bodies;
  return { hold: budget.hold(leaseMs), pace, clock };
}
