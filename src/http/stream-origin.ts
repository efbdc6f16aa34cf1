/**
 * Bodies that are too large to be held in an isolate for a second attempt go to the origin as they come, once: unread, so
 * neither checked here nor answered here should the origin fail.
 */
import { noParameters } from '../protocol/oip/parameters.ts';
import { headerLengthName } from '../protocol/oip/types.ts';
import type { ResolvedModel } from '../repository/model-repository.ts';
import type { OriginPool } from '../routing/origin-pool.ts';
import { barred, type PlacementFacts } from '../routing/place.ts';
import { schedulePolicy } from '../scheduler/schedule-policy.ts';
import { continueTrace } from '../telemetry/trace.ts';
import type { AppContext } from './context.ts';
import type { Admitted } from './gate.ts';
import { type Placed, type PlacementWishes, placed, placementFacts } from './placement.ts';
import { servedHeaders } from './served-headers.ts';
import type { Services } from './services.ts';
import { settle } from './settle.ts';

/**
 * The origin's answer, for a body that is to be streamed there; undefined for one that is to be read here: small enough,
 * of unknown length, or for the edge.
 *
 * @throws EdgewiseError what `placed` throws.
 */
export function streamToOrigin(
  c: AppContext,
  services: Services,
  model: ResolvedModel,
  wishes: PlacementWishes,
  admitted: Admitted | undefined,
): Promise<Response> | undefined {
  const { origin, settings } = services;
  // What is not read cannot be counted.
  if (admitted !== undefined && isCounted(admitted)) return undefined;
  const byteLength = declaredLength(c);
  if (origin === undefined || byteLength === undefined || byteLength <= settings.maxReplayBytes)
    return undefined;
  if (byteLength > settings.maxStreamedBytes) return undefined;
  const facts = placementFacts(services, model, wishes, 0);
  return isForOrigin(facts, byteLength > settings.body.maxBytes)
    ? stream(c, { ...services, origin }, model, wishes, atOrigin(services, model, facts), admitted)
    : undefined;
}

function isCounted({ model, permit }: Admitted): boolean {
  const royalty = permit.grant === undefined ? model.manifest.terms.royalty : permit.grant.royalty;
  return permit.meter.quota !== undefined || royalty !== undefined;
}

/** Whatever the body says: the edge cannot have it, or it is wished there, or the edge could not hold it. */
function isForOrigin(facts: PlacementFacts, overEdgeLimit: boolean): boolean {
  if (barred('origin', facts) !== undefined) return false;
  return barred('edge', facts) !== undefined || facts.wish === 'origin' || overEdgeLimit;
}

function atOrigin(services: Services, model: ResolvedModel, facts: PlacementFacts): Placed {
  const placement = placed(services, model, facts);
  return placement.tier === 'origin' ? placement : { tier: 'origin', reason: 'exceeds-edge-memory' };
}

async function stream(
  c: AppContext,
  services: Services & { readonly origin: OriginPool },
  model: ResolvedModel,
  { jurisdiction }: PlacementWishes,
  placement: Placed,
  admitted: Admitted | undefined,
): Promise<Response> {
  const { clock, origin, settings, statistics } = services;
  const { manifest } = model;
  const startedMs = clock.now();
  const { totalMs } = schedulePolicy(noParameters, c.req.header('edgewise-timeout-ms'));
  const headers: Record<string, string> = {};
  for (const name of ['Content-Type', 'Content-Encoding', headerLengthName]) {
    const value = c.req.header(name);
    if (value !== undefined) headers[name] = value;
  }
  const answer = await origin.stream(
    {
      manifest,
      headers,
      body: c.req.raw.body,
      binary: headers[headerLengthName] !== undefined,
      requestId: c.get('requestId'),
      traceparent: continueTrace(c.req.header('traceparent')),
    },
    {
      jurisdiction,
      deadlineMs: Math.min(totalMs ?? Number.POSITIVE_INFINITY, settings.requestTimeoutMs),
      signal: c.req.raw.signal,
    },
  );
  const headMs = clock.now() - startedMs;
  statistics.success(manifest.name, manifest.version, {
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

function declaredLength(c: AppContext): number | undefined {
  const header = c.req.header('content-length');
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}
