/** Stage 4: the request's body as checked tensors, or as a body for an origin if it is too large to be held here. */
import { checkRequestedOutputs } from '../../protocol/oip/check-outputs.ts';
import { parseInferRequest } from '../../protocol/oip/infer-request.ts';
import { headerLengthName, type InferRequest } from '../../protocol/oip/types.ts';
import type { Manifest } from '../../repository/schema.ts';
import { readSchedulePolicy } from '../../scheduler/schedule-policy.ts';
import { estimateBytes } from '../../tensor/bytes.ts';
import { checkFeeds } from '../../tensor/check.ts';
import { keepOfBody, readBodyOrRest } from '../body/request-body.ts';
import { residencyOf } from '../caller/residency.ts';
import { bodyHeaders, inferBodyLimits } from './body-limits.ts';
import { elementsOf } from './elements.ts';
import { tierWish } from './place.ts';
import type { AdmittedRequest, PlacementWishes, ReadRequest, UnreadRequest } from './request.ts';
import { leaveUnread, unreadOverlong } from './unread.ts';

/**
 * @throws EdgewiseError `invalid_request`, `shape_mismatch`, `unsupported_datatype` for what the model cannot take;
 * `too_large` for a body that fits neither here nor at an origin; `residency_unavailable`; what reading a body throws
 */
export async function read(request: AdmittedRequest): Promise<ReadRequest | UnreadRequest> {
  const { c, model, services } = request;
  const { clock, runCosts, settings } = services;
  const { manifest } = model;
  const wishes = wishesOf(request);
  const headerLength = c.req.header(headerLengthName);
  const headers = bodyHeaders(c.req.raw, headerLength);
  const unread = leaveUnread(request, wishes, headers);
  if (unread !== undefined) return unread;
  const askedMs = clock.now();
  const body = await readBodyOrRest(c, inferBodyLimits(headers, settings));
  const bodyMs = clock.now() - askedMs;
  if (!(body instanceof Uint8Array)) return unreadOverlong(request, wishes, headers, body);
  const input = parseInferRequest(body, { headerLength, model: manifest, limits: settings.json });
  // Tensors of a JSON body are no views of it, so the body itself can go.
  if (headerLength === undefined) keepOfBody(c, estimateBytes(input.inputs));
  checkFeeds(input.inputs, manifest.inputs, manifest);
  checkRequestedOutputs(input, manifest.outputs);
  return {
    ...request,
    wishes,
    input,
    original: headerLength === undefined ? undefined : { body, headerLength },
    schedule: readSchedulePolicy(input.parameters, c.req.header('edgewise-timeout-ms')),
    jurisdiction: wishes.jurisdiction,
    edgeCostMs: runCosts.expectedMs(model, elementsOf(input.inputs)),
    requestId: c.get('requestId'),
    traceparent: c.req.header('traceparent'),
    signal: () => c.req.raw.signal,
    bodyMs,
    units: unitsOf(input, manifest),
  };
}

function wishesOf({ c, caller, services, split }: AdmittedRequest): PlacementWishes {
  return {
    wish: tierWish(c.req.header('edgewise-tier')),
    split,
    jurisdiction: residencyOf(caller, c.req.header('edgewise-jurisdiction'), services.placement.jurisdiction),
  };
}

/** Returns the rows of the batch: what a request counts for. */
function unitsOf({ inputs }: InferRequest, { maxBatchSize }: Manifest): number {
  if (maxBatchSize === 0) return 1;
  const [first] = inputs.values();
  return Math.max(1, first?.shape[0] ?? 1);
}
