/** What the published form answers as an origin runs it: the shapes of its outputs, and whether it keeps rows apart. */
import { systemClock } from '../../async/clock.ts';
import type { Fetches, ModelSource, Session } from '../../engine/types.ts';
import { toEdgewiseError } from '../../errors.ts';
import { firstDifference, firstShapeDifference } from '../../tensor/compare.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import type { ModelConfig } from '../schema.ts';
import { type DimensionNames, otherSizes, type Shapes, totalElements } from './free-sizes.ts';
import { correctShapes, type RunShapes } from './measured-shapes.ts';
import { engineText } from './reference.ts';
import { notRowWise } from './require-rows.ts';
import { judgeRows, type RowVerdict } from './row-wise.ts';
import { sampleShapes } from './sample.ts';
import { rowKinds, sampleRow } from './sample-rows.ts';
import type { PackageOptions } from './types.ts';

export interface MeasureAnswersInput {
  /** The published form. */
  readonly source: ModelSource;
  readonly inputs: readonly TensorSpec[];
  /** As the graph declares them. */
  readonly outputs: readonly TensorSpec[];
  readonly names: DimensionNames;
  readonly config: ModelConfig;
  /** Of a model that draws random numbers only the shapes can be compared. */
  readonly random: boolean;
  /** See `branchOnValues`. */
  readonly branch: string | undefined;
}

export interface MeasuredAnswers {
  readonly outputs: readonly TensorSpec[];
  readonly rowWise: boolean;
}

/** A run that takes longer is not repeated more often than the verdict needs. */
const slowMs = 50;
const fewSamples = 5;
/** Other sizes are left out where a run would take longer, by the number of elements. */
const maxRunMs = 5000;
/** Rows that are tried together where the config has no limit, and the most elements that a larger batch may have. */
const fewRows = 8;
const maxBatchElements = 2 ** 20;
/** Samples for each of the other sizes. */
const samplesOfOtherSize = 3;

/**
 * Warns of declarations that runs contradict, and of what could not be shown; proposes `maxBatchSize` where it is missing.
 *
 * @throws EdgewiseError `invalid_request` where `maxBatchSize` is above 0 and the model does not answer each row by itself.
 */
export async function measureAnswers(
  input: MeasureAnswersInput,
  options: PackageOptions,
): Promise<MeasuredAnswers> {
  const { config, outputs } = input;
  let session: Session;
  try {
    session = await options.engines.origin.createSession(input.source);
  } catch (thrown) {
    const reason = engineText(toEdgewiseError(thrown));
    options.onProgress?.(
      'warning',
      `this machine does not run what is published as an origin would: ${reason}`,
    );
    warnNotShown(config, 'it was not run', options);
    return { outputs, rowWise: false };
  }
  try {
    const runs: RunShapes[] = [];
    const verdict = await new Trial(input, session, options, runs).judge();
    if (verdict.rowWise === false && config.maxBatchSize > 0) throw notRowWise(config, verdict.seen);
    const { outputs: measured, corrections } = correctShapes(outputs, runs);
    for (const { spec, declared, measured: shape } of corrections) {
      options.onProgress?.(
        'warning',
        `the graph declares output ${JSON.stringify(spec.name)} as [${declared.join(',')}], the runtime answers [${shape.join(',')}]: published as [${spec.shape.join(',')}]`,
      );
    }
    tell(verdict, config, measured, options);
    return { outputs: measured, rowWise: verdict.rowWise === true };
  } finally {
    await session.release();
  }
}

function tell(
  verdict: RowVerdict,
  config: ModelConfig,
  outputs: readonly TensorSpec[],
  options: PackageOptions,
): void {
  const { maxBatchSize } = config;
  if (verdict.rowWise === undefined && maxBatchSize > 1) warnNotShown(config, verdict.why, options);
  if (verdict.rowWise !== true) return;
  const proposal =
    maxBatchSize === 0 && outputs.every(({ shape }) => shape[0] === -1)
      ? `; with "maxBatchSize": ${fewRows} (or more) in config.json origins run the requests of several callers together`
      : '';
  options.onProgress?.('rows', `each row is answered by itself${proposal}`);
}

/** Says what follows for a model with a batch dimension that nothing is known of. */
export function warnNotShown(
  { maxBatchSize }: ModelConfig,
  why: string,
  { onProgress }: PackageOptions,
): void {
  if (maxBatchSize < 2) return;
  onProgress?.(
    'warning',
    `it is not shown that each row is answered by itself: ${why}. Requests of up to ${maxBatchSize} rows are answered, and never run together`,
  );
}

function withRows(shapes: Shapes, rows: number): Shapes {
  return new Map([...shapes].map(([name, shape]) => [name, [rows, ...shape.slice(1)]]));
}

class Trial {
  readonly #input: MeasureAnswersInput;
  readonly #session: Session;
  readonly #clock;
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
    for (const shapes of this.#others()) {
      const answered = this.#runs.length;
      const other = await this.#judgeAt(shapes, samplesOfOtherSize, Math.min(most, 2));
      if (verdict.rowWise !== false && other.rowWise === false) verdict = other;
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
    const { config, inputs, random } = this.#input;
    const rows = rowKinds.slice(0, samples).map((kind) => sampleRow(inputs, shapes, config, kind));
    return judgeRows(rows, {
      run: (feeds) => this.#run(feeds),
      difference: random ? firstShapeDifference : firstDifference,
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

  async #run(feeds: Parameters<Session['run']>[0]): Promise<Fetches> {
    const fetches = await this.#session.run(feeds);
    this.#runs.push(new Map([...fetches].map(([name, { shape }]) => [name, shape])));
    return fetches;
  }
}
