import { describe, expect, it } from 'vitest';
import { type Placement, type PlacementFacts, place } from '../../src/routing/place.ts';

const facts: PlacementFacts = {
  policy: 'auto',
  edgePeakBytes: 50,
  edgeCapBytes: 100,
  hasOrigin: true,
  wish: undefined,
};
const tooLarge = { edgePeakBytes: 101 };
const unmeasured = { edgePeakBytes: undefined };
const noOrigin = { hasOrigin: false };

const cases: [string, Partial<PlacementFacts>, Partial<Placement>][] = [
  ['runs at the edge what fits', {}, { tier: 'edge', reason: 'fits-edge' }],
  ['runs at the edge what just fits', { edgePeakBytes: 100 }, { tier: 'edge', reason: 'fits-edge' }],
  ['sends what does not fit to the origin', tooLarge, { tier: 'origin', reason: 'exceeds-edge-memory' }],
  [
    'sends what was never measured to the origin',
    unmeasured,
    { tier: 'origin', reason: 'exceeds-edge-memory' },
  ],
  [
    'refuses what does not fit without an origin',
    { ...tooLarge, ...noOrigin },
    { refused: 'origin_unavailable' },
  ],
  ['keeps an edge model at the edge', { policy: 'edge' }, { tier: 'edge', reason: 'model-policy' }],
  ['refuses an edge model that does not fit', { policy: 'edge', ...tooLarge }, { refused: 'no_capacity' }],
  ['sends an origin model to the origin', { policy: 'origin' }, { tier: 'origin', reason: 'model-policy' }],
  [
    'refuses an origin model without an origin',
    { policy: 'origin', ...noOrigin },
    { refused: 'origin_unavailable' },
  ],
  ['follows a wish for the edge', { wish: 'edge' }, { tier: 'edge', reason: 'caller-wish' }],
  ['follows a wish for the origin', { wish: 'origin' }, { tier: 'origin', reason: 'caller-wish' }],
  [
    'refuses a wish for the edge that cannot be met',
    { wish: 'edge', ...tooLarge },
    { refused: 'no_capacity' },
  ],
  [
    'refuses a wish for an origin that is not there',
    { wish: 'origin', ...noOrigin },
    { refused: 'origin_unavailable' },
  ],
  ['refuses a wish against the policy', { policy: 'edge', wish: 'origin' }, { refused: 'invalid_request' }],
  [
    'refuses a wish for the edge against the policy',
    { policy: 'origin', wish: 'edge' },
    { refused: 'invalid_request' },
  ],
];

describe('place()', () => {
  it.each(cases)('%s', (_, change, wanted) => {
    expect(place({ ...facts, ...change })).toMatchObject(wanted);
  });
});
