import type { Feeds, Fetches, ModelSource, Session } from '../../engine/types.ts';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import type { ModelConfig } from '../config-schema.ts';
import { runtimeReason } from './load-reason.ts';
import { requireRows } from './require-rows.ts';
import { type SampleKind, sampleFeeds, sampleKinds, sampleShapes } from './sample.ts';
import type { Sample } from './samples.ts';
import type { PackageOptions } from './types.ts';

/** The answers of the unchanged model in the native engine. */
export interface Reference {
  /** The first kind of made-up sample that the model accepts; undefined if it accepts only the folder's samples. */
  readonly kind: SampleKind | undefined;
  /** The cases to compare the edge's answers with, at least one: the folder's samples, else the made-up one. */
  readonly cases: readonly ReferenceCase[];
  /** The answer to the first case. */
  readonly fetches: Fetches;
}

export interface ReferenceCase {
  readonly name: string;
  readonly feeds: Feeds;
  readonly fetches: Fetches;
}

/**
 * @throws EdgewiseError `invalid_request` if the native engine refuses the model or one of `samples`, or if there are no
 * `samples` and it refuses every kind of made-up sample; as `requireRows`
 */
export async function runReference(
  model: ModelSource,
  inputs: readonly TensorSpec[],
  config: ModelConfig,
  { engines, onProgress }: Pick<PackageOptions, 'engines' | 'onProgress'>,
  samples: readonly Sample[] = [],
): Promise<Reference> {
  const shapes = sampleShapes(inputs, config, 1);
  const session = await engines.native.createSession(model);
  try {
    const cases: ReferenceCase[] = [];
    for (const sample of samples) cases.push(await answerSample(session, sample));
    const made = await findAcceptedSample(session, inputs, config).catch((error: unknown) => {
      if (cases.length === 0) throw error;
      return undefined;
    });
    const kind = made?.kind;
    if (kind !== undefined) {
      await requireRows(config, {
        feeds: (batchSize) => sampleFeeds(inputs, config, { kind, batchSize }),
        run: (feeds) => session.run(feeds),
      });
    }
    const shapeText = [...shapes].map(([name, shape]) => `${name}[${shape.join(',')}]`).join(' ');
    const names = cases.map(({ name }) => name).join(', ');
    onProgress?.('reference', cases.length > 0 ? `answered ${names}` : `answered ${kind} at ${shapeText}`);
    if (made !== undefined && cases.length === 0) cases.push(made);
    return { kind, cases, fetches: cases[0]?.fetches ?? new Map() };
  } finally {
    await session.release();
  }
}

async function answerSample(session: Session, { name, feeds }: Sample): Promise<ReferenceCase> {
  try {
    return { name, feeds, fetches: await session.run(feeds) };
  } catch (thrown) {
    const error = toEdgewiseError(thrown);
    throw new EdgewiseError(
      'invalid_request',
      `the model does not answer the sample ${name}: ${engineText(error)}`,
      { cause: error },
    );
  }
}

async function findAcceptedSample(
  session: Session,
  inputs: readonly TensorSpec[],
  config: ModelConfig,
): Promise<ReferenceCase & { readonly kind: SampleKind }> {
  const reasons: EdgewiseError[] = [];
  for (const kind of sampleKinds) {
    try {
      const feeds = sampleFeeds(inputs, config, { kind, batchSize: 1 });
      return { kind, name: kind, feeds, fetches: await session.run(feeds) };
    } catch (error) {
      reasons.push(toEdgewiseError(error));
    }
  }
  throw new EdgewiseError(
    'invalid_request',
    `the model answers neither random numbers nor ones nor zeros: ${engineText(reasons[0])}. Describe its inputs in config.json (sampleShapes for sizes, sampleValues for a value per input), or put requests that it answers into samples/`,
    { cause: reasons[0] },
  );
}

/** Returns the runtime's own message if there is one, else the error's: publishers may read it. */
export function engineText(error: EdgewiseError | undefined): string {
  const cause = error?.cause instanceof Error ? error.cause.message : undefined;
  return runtimeReason(cause ?? error?.message ?? 'no reason given');
}
