import type { Fetches, ModelSource, Session } from '../../engine/types.ts';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import type { ModelConfig } from '../schema.ts';
import { runtimeReason } from './load-reason.ts';
import { requireRows } from './require-rows.ts';
import { type SampleKind, sampleFeeds, sampleKinds, sampleShapes } from './sample.ts';
import type { PackageOptions } from './types.ts';

/** What the model answers in the native engine, as the publisher gave it. */
export interface Reference {
  /** The first kind of sample that the model accepts. */
  readonly kind: SampleKind;
  readonly fetches: Fetches;
}

/** @throws EdgewiseError `invalid_request` when the native engine refuses the model, or every kind of sample. */
export async function runReference(
  model: ModelSource,
  inputs: readonly TensorSpec[],
  config: ModelConfig,
  { engines, onProgress }: Pick<PackageOptions, 'engines' | 'onProgress'>,
): Promise<Reference> {
  const shapes = sampleShapes(inputs, config, 1);
  const session = await engines.native.createSession(model);
  try {
    const reference = await firstAccepted(session, inputs, config);
    await requireRows(config, {
      feeds: (batchSize) => sampleFeeds(inputs, config, { kind: reference.kind, batchSize }),
      run: (feeds) => session.run(feeds),
    });
    const described = [...shapes].map(([name, shape]) => `${name}[${shape.join(',')}]`).join(' ');
    onProgress?.('reference', `answered ${reference.kind} at ${described}`);
    return reference;
  } finally {
    await session.release();
  }
}

async function firstAccepted(
  session: Session,
  inputs: readonly TensorSpec[],
  config: ModelConfig,
): Promise<Reference> {
  const reasons: EdgewiseError[] = [];
  for (const kind of sampleKinds) {
    try {
      return { kind, fetches: await session.run(sampleFeeds(inputs, config, { kind, batchSize: 1 })) };
    } catch (error) {
      reasons.push(toEdgewiseError(error));
    }
  }
  throw new EdgewiseError(
    'invalid_request',
    `the model answers neither random numbers nor ones nor zeros: ${engineText(reasons[0])}. Say in config.json what it takes: sampleShapes for sizes, sampleValues for a value per input`,
    { cause: reasons[0] },
  );
}

/** The runtime's own words where there are some: a publisher may read them. */
export function engineText(error: EdgewiseError | undefined): string {
  const cause = error?.cause instanceof Error ? error.cause.message : undefined;
  return runtimeReason(cause ?? error?.message ?? 'no reason given');
}
