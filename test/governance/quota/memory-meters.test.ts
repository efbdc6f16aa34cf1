import { LeaseBook } from '../../../src/governance/quota/lease-book.ts';
import { ManualClock } from '../../support/clock.ts';
import { memoryMeters } from '../../support/memory-meters.ts';
import { exchangeContract, metersContract, noonMs } from './contract.ts';

metersContract('memory', () => {
  const exchange = memoryMeters(() => noonMs);
  const clock = new ManualClock();
  let processes = 0;
  return {
    process() {
      processes += 1;
      const name = `process-${processes}`;
      return new LeaseBook({ exchange, clock, defer: () => {}, name: () => name });
    },
    settled: () => new Promise((resolve) => setImmediate(resolve)),
  };
});

exchangeContract(
  'memory',
  memoryMeters(() => noonMs),
);
