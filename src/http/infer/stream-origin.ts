/**
 * Bodies that are too large to be held in an isolate for a second attempt go to the origin as they come, once: unread, so
 * neither checked here nor answered here should the origin fail.
 */
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { noParameters } from '../../protocol/oip/parameters.ts';
import { headerLengthName } from '../../protocol/oip/types.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import { barred, type PlacementFacts } from '../../routing/place.ts';
import { schedulePolicy } from '../../scheduler/schedule-policy.ts';
import { continueTrace } from '../../telemetry/trace.ts';
import type { Overlong } from '../body/sent.ts';
import { startUpload } from '../body/upload.ts';
import type { AppContext } from '../context.ts';
import type { Services } from '../services.ts';
import { type BodyHeaders, type Obstacle, tooLargeToInfer } from './body-limits.ts';
import type { Admitted } from './gate.ts';
import { type Placed, type PlacementWishes, placed, placementFacts } from './placement.ts';
import { servedHeaders } from './served-headers.ts';
import { settle } from './settle.ts';

/** What a stream takes of the memory, about: the pieces that are on their way. */
const streamedBytes = 256 * 1024;

/** One inference on its way to an origin, before its body is read. */
export interface Streamable {
  readonly model: ResolvedModel;
  readonly wishes: PlacementWishes;
  readonly admitted: Admitted | undefined;
  readonly headers: BodyHeaders;
}

/**
 * The origin's answer to a body that is not read here although it would fit: it is too large to be held for a second
 * attempt, and for the origin in any case. Undefined for all other bodies.
 *
 * @throws EdgewiseError what `placed` throws.
 */
export function streamToOrigin(
  c: AppContext,
  services: Services,
  streamable: Streamable,
): Promise<Response> | undefined {
  const { settings } = services;
  const { declaredBytes } = streamable.headers;
  if (declaredBytes === undefined || declaredBytes <= settings.maxReplayBytes) return undefined;
  if (declaredBytes > settings.maxStreamedBytes) return undefined;
  const facts = placementFacts(services, streamable.model, streamable.wishes, 0);
  if (obstacleOf(services, streamable, facts) !== undefined || !isForOrigin(facts)) return undefined;
  return stream(c, services, streamable, facts, c.req.raw.body);
}

/**
 * The origin's answer to a body that does not fit here.
 *
 * @throws EdgewiseError `too_large` if no origin may take it, with what would fit; what `placed` throws.
 */
export function streamOverlong(
  c: AppContext,
  services: Services,
  streamable: Streamable,
  overlong: Overlong,
): Promise<Response> {
  const facts = placementFacts(services, streamable.model, streamable.wishes, 0);
  const obstacle = obstacleOf(services, streamable, facts);
  if (obstacle === undefined) return stream(c, services, streamable, facts, overlong.whole());
  overlong.discard();
  throw tooLargeToInfer(overlong, streamable.headers, services.settings, obstacle);
}

function obstacleOf(
  { settings, tier }: Services,
  { admitted, headers, model }: Streamable,
  facts: PlacementFacts,
): Obstacle | undefined {
  // An origin sends nothing on.
  if (tier === 'origin') return 'no-origin';
  if (facts.policy === 'edge') return 'edge-model';
  if (barred('origin', facts) !== undefined) return 'no-origin';
  if (facts.wish === 'edge') return 'edge-wished';
  if (admitted !== undefined && isCounted(admitted)) return 'counted';
  // What is not read cannot be held to them either, and not every origin would.
  if (model.manifest.values !== undefined) return 'bounded';
  return (headers.declaredBytes ?? 0) > settings.maxStreamedBytes ? 'too-long' : undefined;
}

/** What is not read cannot be counted. */
function isCounted({ model, permit }: Admitted): boolean {
  const royalty = permit.grant === undefined ? model.manifest.terms.royalty : permit.grant.royalty;
  return permit.meter.quota !== undefined || royalty !== undefined;
}

/** Whatever the body says: the edge cannot have it, or the origin is wished. */
function isForOrigin(facts: PlacementFacts): boolean {
  return barred('edge', facts) !== undefined || facts.wish === 'origin';
}

function atOrigin(services: Services, model: ResolvedModel, facts: PlacementFacts): Placed {
  const placement = placed(services, model, facts);
  return placement.tier === 'origin' ? placement : { tier: 'origin', reason: 'exceeds-edge-memory' };
}

async function stream(
  c: AppContext,
  services: Services,
  { admitted, model, wishes: { jurisdiction } }: Streamable,
  facts: PlacementFacts,
  body: Bytes | ReadableStream<Uint8Array> | null,
): Promise<Response> {
  const { bodies, clock, hops, origin, settings, statistics } = services;
  if (origin === undefined) {
    throw new EdgewiseError('origin_unavailable', 'this deployment has no origin server');
  }
  const placement = atOrigin(services, model, facts);
  const { manifest } = model;
  const startedMs = clock.now();
  const { totalMs } = schedulePolicy(noParameters, c.req.header('edgewise-timeout-ms'));
  const headers: Record<string, string> = {};
  for (const name of ['Content-Type', 'Content-Encoding', headerLengthName]) {
    const value = c.req.header(name);
    if (value !== undefined) headers[name] = value;
  }
  const upload =
    body === null || body instanceof Uint8Array
      ? undefined
      : startUpload(c.req.raw, body, { clock, pace: bodies.pace, maxBytes: settings.maxStreamedBytes });
  const permit = hops.acquire(0, body instanceof Uint8Array ? body.byteLength : streamedBytes);
  const answer = await origin
    .stream(
      {
        manifest,
        headers,
        body: upload?.body ?? (body instanceof Uint8Array ? body : null),
        upload,
        binary: headers[headerLengthName] !== undefined,
        requestId: c.get('requestId'),
        traceparent: continueTrace(c.req.header('traceparent')),
      },
      {
        jurisdiction,
        deadlineMs: Math.min(totalMs ?? Number.POSITIVE_INFINITY, settings.requestTimeoutMs),
        signal: c.req.raw.signal,
      },
    )
    .finally(() => permit.release());
  const headMs = clock.now() - startedMs;
  statistics.recordSuccess(manifest.name, manifest.version, {
    // The body was not read, so its rows are not known.
    batchSize: 1,
    queueMs: 0,
    inputMs: 0,
    inferMs: headMs,
    outputMs: 0,
  });
  const account =
    admitted &&
    (await settle(c, admitted, {
      ...placement,
      units: 1,
      jurisdiction,
      runtime: undefined,
      inputs: undefined,
      outputs: undefined,
    }));
  const response = new Response(answer.body, answer);
  for (const [name, value] of Object.entries({ ...servedHeaders(model, placement), ...account }))
    response.headers.set(name, value);
  response.headers.set('Server-Timing', `origin;dur=${Math.round(headMs * 1000) / 1000}`);
  return response;
}
