/** Measures the published form as an origin runs it: the shapes of its outputs, and whether it keeps rows apart. */
import type { Session } from '../../engine/types.ts';
import { toEdgewiseError } from '../../errors.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import type { ModelConfig } from '../config-schema.ts';
import { AnswersTrial, fewRows, type MeasureAnswersInput } from './answers-trial.ts';
import { correctShapes, type RunShapes } from './measured-shapes.ts';
import { engineText } from './reference.ts';
import { notRowWiseError } from './require-rows.ts';
import type { RowVerdict } from './row-wise.ts';
import type { PackageOptions } from './types.ts';

export interface MeasuredAnswers {
  readonly outputs: readonly TensorSpec[];
  readonly rowWise: boolean;
}

/**
 * Warns about declared shapes that runs contradict, and about row-wise answers that could not be shown; proposes a
 * `maxBatchSize` if the config has none.
 *
 * @throws EdgewiseError `invalid_request` if `maxBatchSize` is above 0 and the model does not answer each row by itself.
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
      `this machine cannot run the published model as an origin would: ${reason}`,
    );
    warnNotShown(config, 'it was not run', options);
    return { outputs, rowWise: false };
  }
  try {
    const runs: RunShapes[] = [];
    const verdict = await new AnswersTrial(input, session, options, runs).judge();
    if (verdict.rowWise === false && config.maxBatchSize > 0) throw notRowWiseError(config, verdict.seen);
    const { outputs: measured, corrections } = correctShapes(outputs, runs);
    for (const { spec, declared, measured: shape } of corrections) {
      options.onProgress?.(
        'warning',
        `the graph declares output ${JSON.stringify(spec.name)} as [${declared.join(',')}], but the runtime answers [${shape.join(',')}]: published as [${spec.shape.join(',')}]`,
      );
    }
    reportVerdict(verdict, config, measured, options);
    return { outputs: measured, rowWise: verdict.rowWise === true };
  } finally {
    await session.release();
  }
}

function reportVerdict(
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

/** Warns that requests for a model with a batch dimension are not batched, because it was not shown to be row-wise. */
export function warnNotShown(
  { maxBatchSize }: ModelConfig,
  why: string,
  { onProgress }: PackageOptions,
): void {
  if (maxBatchSize < 2) return;
  onProgress?.(
    'warning',
    `it was not shown that each row is answered by itself: ${why}. Requests of up to ${maxBatchSize} rows are answered, but never run together`,
  );
}
