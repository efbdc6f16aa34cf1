/** The runs that a push makes of a published form, to learn what it answers. */
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
  /** As the graph declares them. */
  readonly outputs: readonly TensorSpec[];
  readonly names: DimensionNames;
  readonly config: ModelConfig;
  /** Requests of the model's folder. */
  readonly samples: readonly Feeds[];
  /** Of a model that draws random numbers only the shapes can be compared. */
  readonly random: boolean;
  /** See `findValueDependentBranch`. */
  readonly branch: string | undefined;
}

/** A run that takes longer is not repeated more often than the verdict needs. */
const slowMs = 50;
const fewSamples = 5;
/** Other sizes are left out where a run would take longer, by the number of elements. */
const maxRunMs = 5000;
/** Rows that are tried together where the config has no limit, and the most elements that a larger batch may have. */
export const fewRows = 8;
const maxBatchElements = 2 ** 20;
/** Samples for each of the other sizes. */
const samplesOfOtherSize = 3;

function withRows(shapes: Shapes, rows: number): Shapes {
  return new Map([...shapes].map(([name, shape]) => [name, [rows, ...shape.slice(1)]]));
}

/** A contradiction, else what was shown, else the first. */
function strongest(...verdicts: readonly [RowVerdict, RowVerdict]): RowVerdict {
  const { 0: first } = verdicts;
  return (
    verdicts.find(({ rowWise }) => rowWise === false) ?? verdicts.find(({ rowWise }) => rowWise) ?? first
  );
}

export class AnswersTrial {
  readonly #input: MeasureAnswersInput;
  readonly #session: Session;
  readonly #clock: Clock;
  readonly #base: Shapes;
  readonly #batched: boolean;
  readonly #runs: RunShapes[];
  /** Of one row. */
  #rowMs = 0;

  constructor(input: MeasureAnswersInput, session: Session, options: PackageOptions, runs: RunShapes[]) {
    const { config, inputs } = input;
    this.#input = input;
    this.#session = session;
    this.#clock = options.clock ?? systemClock;
    this.#runs = runs;
    this.#batched = inputs.length > 0 && inputs.every(({ shape }) => shape[0] === -1);
    const shapes = sampleShapes(inputs, config, 1);
    this.#base = this.#batched ? withRows(shapes, 1) : shapes;
  }

  async judge(): Promise<RowVerdict> {
    const begin = this.#clock.now();
    await this.#observe(this.#base, 1);
    this.#rowMs = this.#clock.now() - begin;
    if (!this.#batched) {
      await this.#observe(this.#base);
      for (const feeds of this.#input.samples) await this.#run(feeds).catch(() => undefined);
      for (const shapes of this.#others()) {
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
      verdict = strongest(verdict, shown);
    }
    for (const shapes of this.#others()) {
      const answered = this.#runs.length;
      const other = await this.#judgeAt(shapes, samplesOfOtherSize, Math.min(most, 2));
      if (other.rowWise === false) verdict = strongest(verdict, other);
      if (this.#runs.length > answered) break;
    }
    if (verdict.rowWise !== true) {
      for (const rows of [2, 3]) await this.#observe(withRows(this.#base, rows));
    }
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

  /** Runs samples of these shapes for the shapes of their answers. */
  async #observe(shapes: Shapes, samples = fewSamples): Promise<void> {
    const { config, inputs } = this.#input;
    for (const kind of rowKinds.slice(0, samples)) {
      // What the model does not take shows nothing.
      await this.#run(sampleRow(inputs, shapes, config, kind)).catch(() => undefined);
    }
  }

  #others(): readonly Shapes[] {
    const { inputs, names } = this.#input;
    const elements = Math.max(1, totalElements(this.#base));
    // Twice the elements of an attention take four times as long.
    return otherSizes(this.#base, { inputs, names, batched: this.#batched }).filter(
      (shapes) => (totalElements(shapes) / elements) ** 2 * this.#rowMs <= maxRunMs,
    );
  }

  async #run(feeds: Feeds): Promise<Fetches> {
    const fetches = await this.#session.run(feeds);
    this.#runs.push(new Map([...fetches].map(([name, { shape }]) => [name, shape])));
    return fetches;
  }
}
