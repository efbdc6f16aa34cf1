import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearestName } from '../src/near-name.ts';

const letters = fc.string({ unit: fc.constantFrom(...'abcdefghij'), minLength: 6, maxLength: 30 });

describe('nearestName()', () => {
  it.each([
    ['max_batch_size', 'maxBatchSize'],
    ['maxBatchsize', 'maxBatchSize'],
    ['license', 'licence'],
    ['EDGEWISE_CORS_ORIGIN', 'EDGEWISE_CORS_ORIGINS'],
    ['EDGEWISE_OPEN_MODLES', 'EDGEWISE_OPEN_MODELS'],
    ['int64', 'INT64'],
  ])('finds for %s the name %s', (name, meant) => {
    const known = [
      'maxBatchSize',
      'licence',
      'terms',
      'EDGEWISE_OPEN_MODELS',
      'EDGEWISE_CORS_ORIGINS',
      'INT32',
      'INT64',
    ];
    expect(nearestName(name, known)).toBe(meant);
  });

  it('returns undefined if no name is near', () => {
    expect(nearestName('colour', ['licence', 'maxBatchSize'])).toBeUndefined();
    expect(nearestName('', ['licence'])).toBeUndefined();
    expect(nearestName('ab', ['cd'])).toBeUndefined();
  });

  it('finds a name despite one dropped, doubled, changed or swapped letter', () => {
    fc.assert(
      fc.property(letters, fc.nat(), fc.nat(3), (known, position, kind) => {
        const at = position % (known.length - 1);
        const [before, letter, next, after] = [
          known.slice(0, at),
          known.charAt(at),
          known.charAt(at + 1),
          known.slice(at + 2),
        ];
        const typed = [
          before + next + after,
          before + letter + letter + next + after,
          `${before}z${next}${after}`,
          before + next + letter + after,
        ][kind];
        expect(nearestName(typed ?? '', ['zzzzzzzzzzzzzzzz', known])).toBe(known);
      }),
    );
  });

  it('prefers the name itself to other near names', () => {
    fc.assert(
      fc.property(letters, (name) => {
        expect(nearestName(name, [`${name}x`, name, `${name}y`])).toBe(name);
      }),
    );
  });

  it('takes bounded time for names of any length', () => {
    expect(nearestName('a'.repeat(10_000_000), ['licence'])).toBeUndefined();
  });
});
