/** Runs a published form as part of a push, to learn the shapes of its outputs and whether it keeps rows apart. */
import { type Clock, systemClock } from '../../async/clock.ts';
import type { Feeds, Fetches, ModelSource, Session } from '../../engine/types.ts';
import { findAgreement } from '../../tensor/agree.ts';
import { findShapeDifference } from '../../tensor/compare.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import type { ModelConfig } from '../config-schema.ts';
import { type DimensionNames, otherSizes, type Shapes, totalElements } from './free-sizes.ts';
import type { RunShapes } from './measured-shapes.ts';
import { judgeRows, type RowVerdict } from './row-wise.ts';
import { sampleShapes } from './sample.ts';
import { rowKinds, rowsOfSamples, sampleRow } from './sample-rows.ts';
import type { PackageOptions } from './types.ts';

export interface MeasureAnswersInput {
  /** The published form. */
  readonly source: ModelSource;
  readonly inputs: readonly TensorSpec[];
  /** The outputs as the graph declares them. */
  readonly outputs: readonly TensorSpec[];
  readonly names: DimensionNames;
  readonly config: ModelConfig;
  /** Sample requests from the model's folder. */
  readonly samples: readonly Feeds[];
  /** Whether the model draws random numbers, so that only shapes can be compared. */
  readonly random: boolean;
  /** See `findValueDependentBranch`. */
  readonly branch: string | undefined;
}

/** A model with slower runs is tried with fewer samples. */
const slowMs = 50;
const fewSamples = 5;
/** Other sizes are left out if a run, estimated by the number of elements, would take longer. */
const maxRunMs = 5000;
/** Rows that are tried together if the config sets no maximum. */
export const fewRows = 8;
/** Most elements of a larger batch. */
const maxBatchElements = 2 ** 20;
/** Samples for each of the other sizes. */
const samplesOfOtherSize = 3;

function withRows(shapes: Shapes, rows: number): Shapes {
  return new Map([...shapes].map(([name, shape]) => [name, [rows, ...shape.slice(1)]]));
}

/** Returns a verdict that is false, else one that is true, else the first. */
function pickStrongest(one: RowVerdict, other: RowVerdict): RowVerdict {
  const verdicts = [one, other];
  return verdicts.find(({ rowWise }) => rowWise === false) ?? verdicts.find(({ rowWise }) => rowWise) ?? one;
}

export class AnswersTrial {
  readonly #input: MeasureAnswersInput;
  readonly #session: Session;
  readonly #clock: Clock;
  readonly #base: Shapes;
  readonly #isBatched: boolean;
  readonly #runs: RunShapes[];
  /** How long one row takes. */
  #rowMs = 0;

  constructor(input: MeasureAnswersInput, session: Session, options: PackageOptions, runs: RunShapes[]) {
    const { config, inputs } = input;
    this.#input = input;
    this.#session = session;
    this.#clock = options.clock ?? systemClock;
    this.#runs = runs;
    this.#isBatched = inputs.length > 0 && inputs.every(({ shape }) => shape[0] === -1);
    const shapes = sampleShapes(inputs, config, 1);
    this.#base = this.#isBatched ? withRows(shapes, 1) : shapes;
  }

  /**
   * Runs the form with samples and records the shapes of their answers. Returns whether it is row-wise: false without a trial if
   * an input has no free first dimension; undefined, unless a run contradicts it, for a model with random numbers, with a
   * branch that depends on values, or with one row at most.
   */
  async judge(): Promise<RowVerdict> {
    const begin = this.#clock.now();
    await this.#observe(this.#base, 1);
    this.#rowMs = this.#clock.now() - begin;
    if (!this.#isBatched) {
      await this.#observe(this.#base);
      for (const feeds of this.#input.samples) await this.#run(feeds).catch(() => undefined);
      for (const shapes of this.#listOtherShapes()) {
        const answered = this.#runs.length;
        await this.#observe(shapes);
        if (this.#runs.length > answered) break;
      }
      return { rowWise: false, seen: 'not every input has a free first dimension' };
    }
    const { branch, config, random } = this.#input;
    const most = config.maxBatchSize === 0 ? fewRows : config.maxBatchSize;
    const isSlow = this.#rowMs > slowMs;
    const isSmall = most * totalElements(this.#base) <= maxBatchElements && most * this.#rowMs <= maxRunMs;
    const maxRows = isSmall ? most : Math.min(most, isSlow ? 3 : fewRows);
    let verdict = await this.#judgeAt(this.#base, isSlow ? fewSamples : rowKinds.length, maxRows);
    for (const rows of rowsOfSamples(this.#input.samples)) {
      const shown = await this.#judgeRows(rows.slice(0, rowKinds.length), Math.min(most, fewRows));
      verdict = pickStrongest(verdict, shown);
    }
    for (const shapes of this.#listOtherShapes()) {
      const answered = this.#runs.length;
      const other = await this.#judgeAt(shapes, samplesOfOtherSize, Math.min(most, 2));
      if (other.rowWise === false) verdict = pickStrongest(verdict, other);
      if (this.#runs.length > answered) break;
    }
    if (verdict.rowWise !== true) for (const rows of [2, 3]) await this.#observe(withRows(this.#base, rows));
    if (verdict.rowWise === false) return verdict;
    if (branch !== undefined)
      return { rowWise: undefined, why: `the path of its ${branch} depends on values` };
    if (random) return { rowWise: undefined, why: 'the model draws random numbers' };
    return most < 2 ? { rowWise: undefined, why: 'a run has one row at most' } : verdict;
  }

  #judgeAt(shapes: Shapes, samples: number, maxRows: number): Promise<RowVerdict> {
    const { config, inputs } = this.#input;
    const rows = rowKinds.slice(0, samples).map((kind) => sampleRow(inputs, shapes, config, kind));
    return this.#judgeRows(rows, maxRows);
  }

  #judgeRows(rows: readonly Feeds[], maxRows: number): Promise<RowVerdict> {
    const { config, random } = this.#input;
    return judgeRows(rows, {
      run: (feeds) => this.#run(feeds),
      difference: random
        ? findShapeDifference
        : (expected, actual) => findAgreement(expected, actual, config.agreement).difference,
      maxRows,
    });
  }

  /** Runs samples of these shapes, to record the shapes of their answers. */
  async #observe(shapes: Shapes, samples = fewSamples): Promise<void> {
    const { config, inputs } = this.#input;
    for (const kind of rowKinds.slice(0, samples)) {
      // A sample that the model refuses shows nothing.
      await this.#run(sampleRow(inputs, shapes, config, kind)).catch(() => undefined);
    }
  }

  /** Returns shapes with other free sizes, without those whose run would take longer than `maxRunMs`. */
  #listOtherShapes(): readonly Shapes[] {
    const { inputs, names } = this.#input;
    const elements = Math.max(1, totalElements(this.#base));
    // Attention over twice the elements takes four times as long.
    return otherSizes(this.#base, { inputs, names, batched: this.#isBatched }).filter(
      (shapes) => (totalElements(shapes) / elements) ** 2 * this.#rowMs <= maxRunMs,
    );
  }

  async #run(feeds: Feeds): Promise<Fetches> {
    const fetches = await this.#session.run(feeds);
    this.#runs.push(new Map([...fetches].map(([name, { shape }]) => [name, shape])));
    return fetches;
  }
}
