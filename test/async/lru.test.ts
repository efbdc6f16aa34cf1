import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Lru } from '../../src/async/lru.ts';

type Step =
  | { readonly op: 'get' | 'peek' | 'delete'; readonly key: number }
  | { readonly op: 'set'; readonly key: number; readonly bytes: number };

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ op: fc.constantFrom('get', 'peek', 'delete'), key: fc.nat(5) }),
  fc.record({ op: fc.constant('set' as const), key: fc.nat(5), bytes: fc.nat(12) }),
);

interface Entry {
  readonly key: number;
  readonly value: number;
  readonly bytes: number;
}

/** A reference implementation: a list, oldest first. */
class Model {
  readonly maxBytes: number;
  list: Entry[] = [];

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  bytes(): number {
    return this.list.reduce((sum, held) => sum + held.bytes, 0);
  }

  apply(step: Step, value: number): number | undefined {
    const held = this.list.find(({ key }) => key === step.key);
    if (step.op === 'peek') return held?.value;
    const others = this.list.filter(({ key }) => key !== step.key);
    if (step.op === 'get') {
      if (held !== undefined) this.list = [...others, held];
      return held?.value;
    }
    this.list = others;
    if (step.op !== 'set' || step.bytes > this.maxBytes) return undefined;
    while (this.bytes() + step.bytes > this.maxBytes) this.list.shift();
    this.list.push({ key: step.key, value, bytes: step.bytes });
    return undefined;
  }
}

describe('Lru', () => {
  it('behaves like a list that drops its oldest entries over the budget', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 20 }),
        fc.array(steps, { maxLength: 60 }),
        (maxBytes, program) => {
          const lru = new Lru<number, number>({ maxBytes });
          const model = new Model(maxBytes);
          program.forEach((step, value) => {
            const expected = model.apply(step, value);
            if (step.op === 'set') lru.set(step.key, value, step.bytes);
            else if (step.op === 'delete') lru.delete(step.key);
            else expect(lru[step.op](step.key)).toBe(expected);
            expect([...lru]).toEqual(model.list.map((held) => [held.key, held.value]));
            expect(lru.has(step.key)).toBe(model.list.some(({ key }) => key === step.key));
            expect([lru.size, lru.bytes]).toEqual([model.list.length, model.bytes()]);
          });
        },
      ),
    );
  });

  it('stores no value larger than the budget, and drops the value that it would replace', () => {
    const lru = new Lru<string, string>({ maxBytes: 10 });
    lru.set('other', 'stays', 4);
    lru.set('key', 'old', 4);
    expect(lru.set('key', 'new', 11)).toBe(false);
    expect([...lru]).toEqual([['other', 'stays']]);
  });

  it.each([-1, Number.NaN])('refuses a weight of %d', (bytes) => {
    const lru = new Lru<string, string>({ maxBytes: 10 });
    expect(() => lru.set('key', 'value', bytes)).toThrow(RangeError);
    expect(lru.bytes).toBe(0);
  });
});
