/** Whatever happens between processes and a meter, no period gets more answers than its quota. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Network } from './network.ts';

const index = fc.nat({ max: 1000 });

type Step =
  | { readonly do: 'take'; readonly at: number; readonly units: number; readonly count: number }
  | { readonly do: 'fail' | 'deliver' | 'lose' | 'repeat' | 'crash'; readonly at: number }
  | { readonly do: 'advance'; readonly ms: number };

const take = fc.record({
  do: fc.constant('take'),
  at: index,
  units: fc.integer({ min: 1, max: 5 }),
  count: fc.integer({ min: 1, max: 40 }),
});
const advance = fc.record({ do: fc.constant('advance'), ms: fc.constantFrom(1, 300, 2000, 16_000) });
/** Longer than a meter remembers a lease. */
const pause = fc.record({ do: fc.constant('advance'), ms: fc.constant(700_000) });
const fair = fc.record({ do: fc.constantFrom('fail', 'deliver'), at: index });
const foul = fc.record({ do: fc.constantFrom('lose', 'repeat', 'crash'), at: index });
const fairSteps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: take },
  { weight: 6, arbitrary: fair },
  { weight: 1, arbitrary: advance },
);
const anySteps = fc.oneof(
  { weight: 12, arbitrary: fairSteps },
  { weight: 2, arbitrary: foul },
  { weight: 1, arbitrary: pause },
);

const midnightMs = Date.UTC(2026, 11, 1);
const setting = fc.record({
  units: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 100, max: 3000 })),
  // Clocks differ by hours, so some are before the end of the period and others after it.
  skews: fc.array(fc.integer({ min: -7_200_000, max: 7_200_000 }), { minLength: 1, maxLength: 4 }),
});

async function run(network: Network, steps: readonly Step[], quota: number): Promise<void> {
  for (const step of steps) {
    switch (step.do) {
      case 'take':
        for (let n = 0; n < step.count; n += 1) network.take(step.at, step.units);
        break;
      case 'advance':
        network.advance(step.ms);
        break;
      default:
        network[step.do](step.at);
    }
    await network.settle();
    for (const period of network.periods) expect(network.answered(period)).toBeLessThanOrEqual(quota);
  }
}

describe('leases of several processes', () => {
  it('never permit more answers than the quota, whatever messages, processes and clocks do', async () => {
    await fc.assert(
      fc.asyncProperty(
        setting,
        fc.array(anySteps, { maxLength: 150, size: 'max' }),
        async ({ units, skews }, steps) => {
          const network = new Network({ units, per: 'day' }, midnightMs, skews);
          await run(network, steps, units);
          await network.quiet();
          for (const period of network.periods) {
            expect(network.answered(period)).toBeLessThanOrEqual(network.taken(period));
            expect(network.taken(period)).toBeLessThanOrEqual(units);
          }
        },
      ),
      { numRuns: 120 },
    );
  });

  it('lose no unit if no message is lost: with enough demand, the whole quota is answered', async () => {
    await fc.assert(
      fc.asyncProperty(
        setting,
        fc.array(fairSteps, { maxLength: 80, size: 'max' }),
        async ({ units, skews }, steps) => {
          const network = new Network({ units, per: 'total' }, midnightMs, skews);
          await run(network, steps, units);
          await network.quiet();
          expect(network.taken('total')).toBe(network.answered('total'));
          for (let asked = 0; network.answered('total') < units && asked <= units; asked += 1) {
            network.take(asked, 1);
            await network.quiet();
          }
          expect(network.answered('total')).toBe(units);
        },
      ),
      { numRuns: 30 },
    );
  });
});
