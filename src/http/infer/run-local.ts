/** A run in this process: a permit, then the model's session, by batches where an origin gathers them. */
import type { RunOptions, RunResult } from '../../engine/types.ts';
import { toEdgewiseError } from '../../errors.ts';
import type { Services } from '../services.ts';
import { elementsOf } from './elements.ts';
import type { Job } from './job.ts';
import { noteUnmeasured } from './note-unmeasured.ts';
import { poolModel } from './pool-model.ts';

/**
 * @throws EdgewiseError `overloaded` without a permit; what the session pool throws; `deadline_exceeded` when the caller
 * leaves before its run began.
 */
export async function runLocally(services: Services, job: Job): Promise<RunResult> {
  const { admission, batcher, measuredRuns, pool, tier } = services;
  const { model, request, schedule, signal } = job;
  const { manifest } = model;
  const pooled = poolModel(services, model);
  noteUnmeasured(services, model);
  const fetches = request.outputs?.map((output) => output.name);
  const permit = admission.acquire(measuredRuns?.expectedMs(pooled.key) ?? job.edgeCostMs);
  let latencyMs: number | undefined;
  try {
    const options: RunOptions = {
      // Whoever waits may leave. Only then is the signal asked for.
      signal: batcher !== undefined || pool.mustWait(pooled.key) ? signal() : undefined,
      deadlineMs: schedule.deadlineMs,
      totalMs: schedule.totalMs,
    };
    const result =
      batcher === undefined || manifest.maxBatchSize === 0
        ? await pool.run(pooled, request.inputs, fetches, options)
        : await batcher.run({
            key: pooled.key,
            maxBatchSize: manifest.maxBatchSize,
            rowWise: manifest.rowWise === true,
            policy: manifest.dynamicBatching,
            feeds: request.inputs,
            fetches,
            options: { ...options, priority: schedule.priority },
            run: (feeds, names, limits) => pool.run(pooled, feeds, names, limits),
          });
    // A load says nothing of how many requests are too many.
    const { queueMs, runMs, sharedBy } = result.timings;
    latencyMs = queueMs + runMs;
    measuredRuns?.observe(pooled.key, runMs, sharedBy);
    if (tier === 'edge') {
      services.runCosts.recordRun(model, elementsOf(request.inputs), result.timings, services.clock.now());
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
 * Without a time to come back by, `no_capacity` means that the model, or this run of it, asks for more than there is; with
 * one, that others hold the memory now.
 */
function markOutOfMemory({ outOfMemory }: Services, digest: string, thrown: unknown): void {
  const error = toEdgewiseError(thrown);
  if (error.code === 'no_capacity' && error.retryAfterSeconds === undefined) outOfMemory.set(digest, true, 1);
}
