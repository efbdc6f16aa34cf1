/** Counts the results of shadow copies since this isolate started. Keeps nothing else of requests and answers. */
import { Lru } from '../async/lru.ts';
import type { ShadowFigure, ShadowTarget } from '../protocol/shadow-figures.ts';
import type { Agreement } from '../tensor/compare.ts';

type Counts = { -readonly [K in keyof ShadowFigure]: ShadowFigure[K] };

export interface ShadowFiguresOptions {
  /** Beyond this number, the least recently counted target is forgotten. Default 64. */
  readonly maxTargets?: number;
}

export class ShadowFigures {
  readonly #counts: Lru<string, Counts>;

  constructor({ maxTargets = 64 }: ShadowFiguresOptions = {}) {
    this.#counts = new Lru({ maxBytes: maxTargets });
  }

  countSent(target: ShadowTarget): void {
    this.#countsOf(target).sent += 1;
  }

  countSkipped(target: ShadowTarget): void {
    this.#countsOf(target).skipped += 1;
  }

  countFailed(target: ShadowTarget): void {
    this.#countsOf(target).failed += 1;
  }

  countUnlike(target: ShadowTarget): void {
    this.#countsOf(target).unlike += 1;
  }

  addComparison(target: ShadowTarget, agreement: Agreement): void {
    const counts = this.#countsOf(target);
    counts.compared += 1;
    if (agreement.exact) counts.exact += 1;
    if (agreement.near) counts.near += 1;
    counts.maxDifference = Math.max(counts.maxDifference, agreement.maxDifference);
    counts.rows += agreement.rows;
    counts.sameTopRows += agreement.sameTopRows;
  }

  /** Returns the figures of a model's targets, the most recently counted last. */
  ofModel(model: string): readonly ShadowFigure[] {
    return [...this.#counts].flatMap(([, counts]) => (counts.model === model ? [{ ...counts }] : []));
  }

  #countsOf({ model, alias, version, tier }: ShadowTarget): Counts {
    const key = `${model} ${alias} ${version} ${tier ?? ''}`;
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    const counts: Counts = {
      model,
      alias,
      version,
      ...(tier === undefined ? {} : { tier }),
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
    this.#counts.set(key, counts, 1);
    return counts;
  }
}
