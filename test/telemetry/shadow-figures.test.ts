import { describe, expect, it } from 'vitest';
import type { ShadowTarget } from '../../src/protocol/shadow-figures.ts';
import { ShadowFigures } from '../../src/telemetry/shadow-figures.ts';

const canary: ShadowTarget = { model: 'mlp', alias: 'stable', version: '2' };
const none = {
  sent: 0,
  skipped: 0,
  failed: 0,
  unlike: 0,
  compared: 0,
  exact: 0,
  near: 0,
  maxDifference: 0,
  rows: 0,
  sameTopRows: 0,
};
const agreement = { exact: false, near: true, maxDifference: 0.5, rows: 4, sameTopRows: 3 };

describe('ShadowFigures', () => {
  it('sums the results of one target, and keeps the largest difference', () => {
    const figures = new ShadowFigures();
    figures.countSkipped(canary);
    for (let copy = 0; copy < 4; copy += 1) figures.countSent(canary);
    figures.countFailed(canary);
    figures.countUnlike(canary);
    figures.addComparison(canary, agreement);
    figures.addComparison(canary, { exact: true, near: true, maxDifference: 0, rows: 1, sameTopRows: 1 });
    expect(figures.ofModel('mlp')).toEqual([
      {
        ...canary,
        sent: 4,
        skipped: 1,
        failed: 1,
        unlike: 1,
        compared: 2,
        exact: 1,
        near: 2,
        maxDifference: 0.5,
        rows: 5,
        sameTopRows: 4,
      },
    ]);
  });

  it('counts each model, alias, version and tier separately', () => {
    const figures = new ShadowFigures();
    const targets: ShadowTarget[] = [
      canary,
      { ...canary, alias: 'beta' },
      { ...canary, version: '3' },
      { ...canary, tier: 'origin' },
    ];
    for (const target of [...targets, { ...canary, model: 'other' }]) figures.countSent(target);
    expect(figures.ofModel('mlp')).toEqual(targets.map((target) => ({ ...target, ...none, sent: 1 })));
    expect(figures.ofModel('unknown')).toEqual([]);
  });

  it('returns figures that later counts do not change', () => {
    const figures = new ShadowFigures();
    figures.countSent(canary);
    const [before] = figures.ofModel('mlp');
    figures.countSent(canary);
    expect(before?.sent).toBe(1);
  });

  it('forgets the least recently counted target beyond maxTargets', () => {
    const figures = new ShadowFigures({ maxTargets: 2 });
    for (const version of ['1', '2', '1', '3']) figures.countSent({ ...canary, version });
    expect(figures.ofModel('mlp').map(({ version }) => version)).toEqual(['1', '3']);
  });
});
