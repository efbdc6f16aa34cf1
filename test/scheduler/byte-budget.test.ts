import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteBudget, type ByteHold } from '../../src/scheduler/byte-budget.ts';
import { ManualClock } from '../support/clock.ts';

const overloaded = expect.objectContaining({ code: 'overloaded', retryAfterSeconds: 1 });

function budgetOf(maxBytes: number) {
  const clock = new ManualClock();
  return { clock, budget: new ByteBudget({ maxBytes, key: 'EDGEWISE_MAX_BODIES_MIB', clock }) };
}

describe('ByteBudget', () => {
  it('refuses bytes that do not fit beside other holds, and names the sizes and the key', () => {
    const { budget } = budgetOf(100);
    budget.hold(1000).grow(60);
    const second = budget.hold(1000);
    expect(() => second.grow(41)).toThrow(overloaded);
    expect(() => second.grow(41)).toThrow('hold 60 of 100 bytes (EDGEWISE_MAX_BODIES_MIB)');
    second.grow(40);
    expect(budget.heldBytes).toBe(100);
  });

  it('lets a single request hold more than the budget, and then no other', () => {
    const { budget } = budgetOf(100);
    const large = budget.hold(1000);
    large.grow(90);
    large.grow(90);
    expect(() => budget.hold(1000).grow(1)).toThrow(overloaded);
    large.release();
    budget.hold(1000).grow(1);
    expect(budget.heldBytes).toBe(1);
  });

  it('gives bytes back once when a hold shrinks or is released', () => {
    const { budget } = budgetOf(100);
    const hold = budget.hold(1000);
    hold.grow(100);
    hold.shrinkTo(30);
    expect(budget.heldBytes).toBe(30);
    hold.shrinkTo(80);
    expect(budget.heldBytes).toBe(30);
    hold.release();
    hold.release();
    expect(budget.heldBytes).toBe(0);
  });

  it('takes back a hold whose lease has ended when another request needs the bytes', () => {
    const { budget, clock } = budgetOf(100);
    const gone = budget.hold(1000);
    gone.grow(60);
    const slow = budget.hold(1000);
    slow.grow(40);
    clock.advance(999);
    expect(() => budget.hold(1000).grow(50)).toThrow(overloaded);
    slow.renew(1000);
    clock.advance(1);
    expect(budget.heldBytes).toBe(100);
    budget.hold(1000).grow(50);
    expect(budget.heldBytes).toBe(90);
    gone.release();
    expect(budget.heldBytes).toBe(90);
  });

  it('never exceeds the budget with more than one hold, and ends at 0 bytes', () => {
    const step = fc.record({
      hold: fc.nat(4),
      bytes: fc.nat(120),
      kind: fc.constantFrom('grow', 'shrink', 'release'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { budget } = budgetOf(100);
        const holds: ByteHold[] = Array.from({ length: 5 }, () => budget.hold(1000));
        for (const { hold: index, bytes, kind } of steps) {
          const hold = holds[index];
          if (hold === undefined) throw new Error('there are five holds');
          const others = budget.heldBytes - hold.bytes;
          if (kind === 'release') hold.release();
          else if (kind === 'shrink') hold.shrinkTo(bytes);
          else {
            const fits = bytes === 0 || others === 0 || others + hold.bytes + bytes <= 100;
            if (fits) hold.grow(bytes);
            else expect(() => hold.grow(bytes)).toThrow(overloaded);
          }
          expect(budget.heldBytes).toBe(holds.reduce((sum, { bytes: held }) => sum + held, 0));
        }
        for (const hold of holds) hold.release();
        expect(budget.heldBytes).toBe(0);
      }),
    );
  });
});
