/** A run at the origin pool. */
import type { Fetches } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import { continueTrace } from '../../telemetry/trace.ts';
import { estimateBytes } from '../../tensor/bytes.ts';
import type { RunRequest } from './request.ts';

/** @throws EdgewiseError `origin_unavailable`, `overloaded`, `residency_unavailable`, `deadline_exceeded`; what an endpoint finds wrong with the request */
export async function runAtOrigin(request: RunRequest): Promise<Fetches> {
  const { input, jurisdiction, model, original, requestId, schedule, services, startedMs } = request;
  const { clock, hops, origin, settings } = services;
  if (origin === undefined) {
    throw new EdgewiseError('origin_unavailable', 'this deployment has no origin server');
  }
  const permit = hops.acquire(0, bytesAtHop(request));
  try {
    const limitMs = Math.min(schedule.totalMs ?? Number.POSITIVE_INFINITY, settings.requestTimeoutMs);
    const { outputs } = await origin.infer(
      {
        manifest: model.manifest,
        request: input,
        original,
        requestId,
        traceparent: continueTrace(request.traceparent),
        maxAnswerBytes: settings.maxAnswerBytes,
      },
      { jurisdiction, deadlineMs: limitMs - (clock.now() - startedMs), signal: request.signal() },
    );
    return outputs;
  } finally {
    permit.release();
  }
}

/** Returns what stays in memory until the origin answers: the body as it came, or the tensors and their encoded form. */
function bytesAtHop({ input, original }: RunRequest): number {
  return original === undefined ? 2 * estimateBytes(input.inputs) : original.body.byteLength;
}
