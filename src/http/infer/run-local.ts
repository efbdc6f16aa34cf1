/** A run in this process: a permit, then the model's session; in batches if an origin gathers them. */
import type { RunOptions, RunResult } from '../../engine/types.ts';
import { toEdgewiseError } from '../../errors.ts';
import type { Services } from '../services.ts';
import { elementsOf } from './elements.ts';
import { noteUnmeasured } from './note-unmeasured.ts';
import { poolModel } from './pool-model.ts';
import type { RunRequest } from './request.ts';

/**
 * @throws EdgewiseError `overloaded` without a permit; what the session pool throws; `deadline_exceeded` when the caller
 * leaves before the run begins
 */
export async function runLocally(request: RunRequest): Promise<RunResult> {
  const { edgeCostMs, input, model, schedule, services, signal } = request;
  const { admission, batcher, measuredRuns, pool, tier } = services;
  const { manifest } = model;
  const pooled = poolModel(services, model);
  noteUnmeasured(services, model);
  const fetches = input.outputs?.map((output) => output.name);
  const permit = admission.acquire(measuredRuns?.expectedMs(pooled.key) ?? edgeCostMs);
  let latencyMs: number | undefined;
  try {
    const options: RunOptions = {
      // Only a request that waits can be left by its caller; only then is the signal asked for.
      signal: batcher !== undefined || pool.mustWait(pooled.key) ? signal() : undefined,
      deadlineMs: schedule.deadlineMs,
      totalMs: schedule.totalMs,
    };
    const result =
      batcher === undefined || manifest.maxBatchSize === 0
        ? await pool.run(pooled, input.inputs, fetches, options)
        : await batcher.run({
            key: pooled.key,
            maxBatchSize: manifest.maxBatchSize,
            rowWise: manifest.rowWise === true,
            policy: manifest.dynamicBatching,
            feeds: input.inputs,
            fetches,
            options: { ...options, priority: schedule.priority },
            run: (feeds, names, limits) => pool.run(pooled, feeds, names, limits),
          });
    const { queueMs, runMs, sharedBy } = result.timings;
    // Without the load, which says nothing about how many requests are too many.
    latencyMs = queueMs + runMs;
    measuredRuns?.observe(pooled.key, runMs, sharedBy);
    if (tier === 'edge') {
      services.runCosts.recordRun(model, elementsOf(input.inputs), result.timings, services.clock.now());
    }
    return result;
  } catch (error) {
    markOutOfMemory(services, model.manifestDigest, error);
    throw error;
  } finally {
    permit.release({ ok: latencyMs !== undefined, ...(latencyMs === undefined ? {} : { latencyMs }) });
  }
}

/**
 * `no_capacity` with a time to retry means that other requests hold the memory now; without one, that the model, or this
 * run of it, needs more than there is.
 */
function markOutOfMemory({ outOfMemory }: Services, digest: string, thrown: unknown): void {
  const error = toEdgewiseError(thrown);
  if (error.code === 'no_capacity' && error.retryAfterSeconds === undefined) outOfMemory.set(digest, true, 1);
}
