/** A run at the origin pool. */
import type { Fetches } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import { continueTrace } from '../../telemetry/trace.ts';
import { estimateBytes } from '../../tensor/bytes.ts';
import type { Services } from '../services.ts';
import type { Job } from './job.ts';

/** @throws EdgewiseError `origin_unavailable`, `overloaded`, `residency_unavailable`, `deadline_exceeded`; what an endpoint finds wrong with the request. */
export async function runAtOrigin(services: Services, job: Job): Promise<Fetches> {
  const { clock, hops, origin, settings } = services;
  const { model, request, original, schedule, jurisdiction, startedMs, requestId } = job;
  if (origin === undefined) {
    throw new EdgewiseError('origin_unavailable', 'this deployment has no origin server');
  }
  const permit = hops.acquire(0, bytesAtHop(job));
  try {
    const limitMs = Math.min(schedule.totalMs ?? Number.POSITIVE_INFINITY, settings.requestTimeoutMs);
    const { outputs } = await origin.infer(
      {
        manifest: model.manifest,
        request,
        original,
        requestId,
        traceparent: continueTrace(job.traceparent),
        maxAnswerBytes: settings.maxAnswerBytes,
      },
      { jurisdiction, deadlineMs: limitMs - (clock.now() - startedMs), signal: job.signal() },
    );
    return outputs;
  } finally {
    permit.release();
  }
}

/** What stands in memory until the origin has answered: the body as it came, or the tensors and what is sent of them. */
function bytesAtHop({ original, request }: Job): number {
  return original === undefined ? 2 * estimateBytes(request.inputs) : original.body.byteLength;
}
