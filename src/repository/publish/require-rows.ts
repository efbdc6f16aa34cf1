import type { Feeds, Fetches } from '../../engine/types.ts';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import { describeRowMismatch } from '../../tensor/rows.ts';
import type { ModelConfig } from '../config-schema.ts';

type Batching = Pick<ModelConfig, 'name' | 'maxBatchSize'>;

/**
 * Refuses a config whose `maxBatchSize` the model does not support, before any other work on the model.
 *
 * @param feeds Returns a sample of the given number of rows.
 * @throws EdgewiseError `invalid_request` naming the output and its problem; what `run` throws for another reason than the
 * feeds.
 */
export async function requireRows(
  config: Batching,
  { feeds, run }: { feeds(rows: number): Feeds; run(feeds: Feeds): Promise<Fetches> },
): Promise<void> {
  if (config.maxBatchSize === 0) return;
  for (const rows of [1, 2].filter((rows) => rows <= config.maxBatchSize)) {
    let seen: string | undefined;
    try {
      seen = describeRowMismatch(await run(feeds(rows)), rows);
    } catch (thrown) {
      const error = toEdgewiseError(thrown);
      // Any other failure says nothing about the model.
      if (error.code !== 'invalid_request' && error.code !== 'shape_mismatch') throw error;
      throw notRowWiseError(config, `it refuses ${rows} rows: ${error.message}`, error);
    }
    if (seen !== undefined) throw notRowWiseError(config, seen);
  }
}

export function notRowWiseError(
  { name, maxBatchSize }: Batching,
  seen: string,
  cause?: Error,
): EdgewiseError {
  return new EdgewiseError(
    'invalid_request',
    `maxBatchSize of ${name} is ${maxBatchSize}, but the model does not answer each row by itself: ${seen}. Set maxBatchSize to 0: callers may still send several rows in one request, but requests are never run together`,
    { cause },
  );
}
