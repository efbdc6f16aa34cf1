/** The run of a body that was not read here: sent on to an origin as it comes, and the origin's answer as it comes back. */
import { EdgewiseError } from '../../errors.ts';
import { noParameters } from '../../protocol/oip/parameters.ts';
import { headerLengthName } from '../../protocol/oip/types.ts';
import { readSchedulePolicy } from '../../scheduler/schedule-policy.ts';
import { continueTrace } from '../../telemetry/trace.ts';
import { startUpload } from '../body/upload.ts';
import type { AppContext } from '../context.ts';
import type { InferenceAnswer, UnreadRequest } from './request.ts';
import { roundToMicroseconds } from './server-timing.ts';

/** What a stream takes of the memory, about: the pieces that are on their way. */
const streamedBytes = 256 * 1024;

/** @throws EdgewiseError `origin_unavailable`, `overloaded`, `residency_unavailable`, `deadline_exceeded`; what the endpoint refuses with */
export async function forward(request: UnreadRequest): Promise<InferenceAnswer> {
  const { c, model, placement, services, unreadBody, wishes } = request;
  const { bodies, clock, hops, origin, settings } = services;
  if (origin === undefined) {
    throw new EdgewiseError('origin_unavailable', 'this deployment has no origin server');
  }
  const beganMs = clock.now();
  const { totalMs } = readSchedulePolicy(noParameters, c.req.header('edgewise-timeout-ms'));
  const headers = contentHeaders(c);
  const held = unreadBody === null || unreadBody instanceof Uint8Array;
  const upload = held
    ? undefined
    : startUpload(c.req.raw, unreadBody, {
        clock,
        pace: bodies.pace,
        maxBytes: settings.maxStreamedBytes,
      });
  const permit = hops.acquire(0, held && unreadBody !== null ? unreadBody.byteLength : streamedBytes);
  const answer = await origin
    .stream(
      {
        manifest: model.manifest,
        headers,
        body: held ? unreadBody : (upload?.body ?? null),
        upload,
        binary: headers[headerLengthName] !== undefined,
        requestId: c.get('requestId'),
        traceparent: continueTrace(c.req.header('traceparent')),
      },
      {
        jurisdiction: wishes.jurisdiction,
        deadlineMs: Math.min(totalMs ?? Number.POSITIVE_INFINITY, settings.requestTimeoutMs),
        signal: c.req.raw.signal,
      },
    )
    .finally(() => permit.release());
  const headMs = clock.now() - beganMs;
  return {
    ...placement,
    jurisdiction: wishes.jurisdiction,
    // The rows of an unread body are not known.
    units: 1,
    runtime: undefined,
    inputs: undefined,
    outputs: undefined,
    times: { batchSize: 1, queueMs: 0, inputMs: 0, inferMs: headMs, outputMs: 0 },
    serverTiming: `origin;dur=${roundToMicroseconds(headMs)}`,
    toResponse(more) {
      const response = new Response(answer.body, answer);
      for (const name in more) response.headers.set(name, more[name] ?? '');
      return response;
    },
  };
}

function contentHeaders(c: AppContext): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of ['Content-Type', 'Content-Encoding', headerLengthName]) {
    const value = c.req.header(name);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}
