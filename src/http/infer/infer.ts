/**
 * The path of a request: who calls → which model → tensors → where → run → encode. Nothing of the request is kept. It
 * waits only where something is to be waited for: a warm model costs one await for the body and one for the run.
 */
import type { RunTimings } from '../../engine/types.ts';
import { toEdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { checkRequestedOutputs } from '../../protocol/oip/check-outputs.ts';
import { parseInferRequest } from '../../protocol/oip/infer-request.ts';
import { encodeInferResponse } from '../../protocol/oip/infer-response.ts';
import { type EncodedMessage, headerLengthName, type InferRequest } from '../../protocol/oip/types.ts';
import type { ModelRepository, ResolvedModel } from '../../repository/model-repository.ts';
import type { Manifest, TrafficTarget } from '../../repository/schema.ts';
import type { PlacementFacts, Tier } from '../../routing/place.ts';
import { schedulePolicy } from '../../scheduler/schedule-policy.ts';
import { estimateBytes } from '../../tensor/bytes.ts';
import { checkFeeds } from '../../tensor/check.ts';
import { keepOfBody, readBodyOrRest } from '../body/request-body.ts';
import { requireUse } from '../caller/access.ts';
import { identifyCaller } from '../caller/identify.ts';
import { residencyOf } from '../caller/residency.ts';
import { type AppContext, takeAnswerHeaders } from '../context.ts';
import type { Services } from '../services.ts';
import { bodyHeaders, inferBodyLimits } from './body-limits.ts';
import { elementsOf } from './elements.ts';
import { execute } from './execute.ts';
import { type Admitted, pass } from './gate.ts';
import type { Job } from './job.ts';
import { type Placed, type PlacementWishes, placed, placementFacts, tierWish } from './placement.ts';
import { servedHeaders } from './served-headers.ts';
import { settle } from './settle.ts';
import { splitOf, stickyKeyOf } from './split.ts';
import { streamOverlong, streamToOrigin } from './stream-origin.ts';
import { takeUnits } from './take-units.ts';
import { tryEdge } from './try-edge.ts';

export async function infer(c: AppContext, services: Services): Promise<Response> {
  const { clock, repository, settings, statistics } = services;
  const startedMs = clock.now();
  services.runCosts.recordArrival(startedMs);
  const name = c.req.param('name') ?? '';
  const version = c.req.param('version');
  const identified = identifyCaller(c, services);
  const caller = identified instanceof Promise ? await identified : identified;
  requireUse(caller, name, settings);
  const found = repository.resolve(name, version);
  const named = found instanceof Promise ? await found : found;
  const target = named.index.splits && splitOf(named, version, stickyKeyOf(caller, c));
  const model = target === undefined ? named : await targeted(repository, named, target);
  try {
    const passed = pass(c, services, caller, 'infer', model);
    const admitted = passed instanceof Promise ? await passed : passed;
    return await answer(c, services, { caller, model, admitted, split: target?.tier, startedMs });
  } catch (error) {
    statistics.recordFailure(model.manifest.name, model.manifest.version, clock.now() - startedMs);
    throw error;
  }
}

/** The split's version; what the alias itself points to where that was removed just now. */
async function targeted(
  repository: ModelRepository,
  named: ResolvedModel,
  { version }: TrafficTarget,
): Promise<ResolvedModel> {
  const { name } = named.manifest;
  if (version === named.manifest.version) return named;
  try {
    return await repository.resolve(name, version);
  } catch (error) {
    if (toEdgewiseError(error).code !== 'version_not_found') throw error;
    return named;
  }
}

interface Asked {
  readonly caller: Caller;
  readonly model: ResolvedModel;
  /** Undefined at an origin, which accounts to the edge that asks it. */
  readonly admitted: Admitted | undefined;
  readonly split: Tier | undefined;
  readonly startedMs: number;
}

async function answer(c: AppContext, services: Services, asked: Asked): Promise<Response> {
  const { clock, settings } = services;
  const { caller, model, admitted, split, startedMs } = asked;
  const { manifest } = model;
  const wishes: PlacementWishes = {
    wish: tierWish(c.req.header('edgewise-tier')),
    split,
    jurisdiction: residencyOf(caller, c.req.header('edgewise-jurisdiction'), services.placement.jurisdiction),
  };
  const headerLength = c.req.header(headerLengthName);
  const headers = bodyHeaders(c.req.raw, headerLength);
  const streamable = { model, wishes, admitted, headers };
  const streamed = streamToOrigin(c, services, streamable);
  if (streamed !== undefined) return await streamed;
  const askedForBodyMs = clock.now();
  const body = await readBodyOrRest(c, inferBodyLimits(headers, settings));
  const bodyMs = clock.now() - askedForBodyMs;
  if (!(body instanceof Uint8Array)) return await streamOverlong(c, services, streamable, body);
  const request = parseInferRequest(body, { headerLength, model: manifest, limits: settings.json });
  // Tensors of JSON are not views of the body.
  if (headerLength === undefined) keepOfBody(c, estimateBytes(request.inputs));
  checkFeeds(request.inputs, manifest.inputs, manifest);
  checkRequestedOutputs(request, manifest.outputs);
  const edgeCostMs = services.runCosts.expectedMs(model, elementsOf(request.inputs));
  const facts = placementFacts(services, model, wishes, edgeCostMs);
  const placement = tryEdge(services, model, facts, placed(services, model, facts));
  const job: Job = {
    model,
    request,
    original: headerLength === undefined ? undefined : { body, headerLength },
    schedule: schedulePolicy(request.parameters, c.req.header('edgewise-timeout-ms')),
    jurisdiction: wishes.jurisdiction,
    edgeCostMs,
    startedMs,
    requestId: c.get('requestId'),
    traceparent: c.req.header('traceparent'),
    signal: () => c.req.raw.signal,
  };
  const units = unitsOf(request, manifest);
  const taken = admitted && takeUnits(c, admitted, units);
  const charge = taken instanceof Promise ? await taken : taken;
  let isOnRecord = false;
  const onRecord = () => {
    isOnRecord = true;
  };
  try {
    return await computed(c, services, admitted, { job, placement, facts, units, bodyMs, onRecord });
  } catch (error) {
    // What the log counts the quota counts, too.
    if (!isOnRecord) charge?.giveBack();
    throw error;
  }
}

interface Computation {
  readonly job: Job;
  readonly placement: Placed;
  readonly facts: PlacementFacts;
  readonly units: number;
  /** Spent waiting for the body: the caller's time, and none of this server's. */
  readonly bodyMs: number;
  readonly onRecord: () => void;
}

async function computed(
  c: AppContext,
  services: Services,
  admitted: Admitted | undefined,
  { job, placement, facts, units, bodyMs, onRecord }: Computation,
): Promise<Response> {
  const { clock, settings, statistics } = services;
  const { jurisdiction, model, request, startedMs } = job;
  const { manifest } = model;
  const parsedMs = clock.now();
  const ran = await execute(services, job, placement, facts);

  const ranMs = clock.now();
  const encoded = encodeInferResponse({
    modelName: manifest.name,
    modelVersion: manifest.version,
    id: request.id,
    outputs: ran.outputs,
    requested: request.outputs,
    binaryOutput: request.binaryOutput,
    labels: manifest.labels,
    batched: manifest.maxBatchSize > 0,
    maxBytes: settings.maxAnswerBytes,
  });
  const parseMs = parsedMs - startedMs - bodyMs;
  const encodeMs = clock.now() - ranMs;
  const { timings } = ran;
  statistics.recordSuccess(manifest.name, manifest.version, {
    batchSize: units,
    queueMs: timings?.queueMs ?? 0,
    inputMs: parseMs,
    inferMs: timings?.runMs ?? ranMs - parsedMs,
    outputMs: encodeMs,
  });
  services.shadows?.after({
    model,
    alias: c.req.param('version'),
    tier: ran.tier,
    feeds: request.inputs,
    outputs: ran.outputs,
    requestId: job.requestId,
    jurisdiction,
  });
  const account =
    admitted &&
    (await settle(c, admitted, {
      units,
      tier: ran.tier,
      reason: ran.reason,
      jurisdiction,
      runtime: ran.runtime,
      inputs: request.inputs,
      outputs: ran.outputs,
      onRecord,
    }));
  return new Response(encoded.body, {
    headers: {
      ...contentHeaders(encoded),
      ...servedHeaders(model, ran),
      ...account,
      ...takeAnswerHeaders(c),
      'Server-Timing': serverTiming(parseMs, timings ?? ranMs - parsedMs, encodeMs),
    },
  });
}

/** Rows of the batch: what a run counts for. */
function unitsOf(request: InferRequest, manifest: Manifest): number {
  if (manifest.maxBatchSize === 0) {
    return 1;
  }
  const [first] = request.inputs.values();
  return Math.max(1, first?.shape[0] ?? 1);
}

function contentHeaders(encoded: EncodedMessage): Record<string, string> {
  return encoded.headerLength === undefined
    ? { 'Content-Type': encoded.contentType }
    : { 'Content-Type': encoded.contentType, [headerLengthName]: encoded.headerLength };
}

/** @param run Of a run in this process its parts; of one at the origin the whole, attempts and network included, in ms. */
function serverTiming(parseMs: number, run: RunTimings | number, encodeMs: number): string {
  const middle =
    typeof run === 'number'
      ? `origin;dur=${round(run)}`
      : `load;dur=${round(run.loadMs)}, queue;dur=${round(run.queueMs)}, run;dur=${round(run.runMs)}`;
  return `parse;dur=${round(parseMs)}, ${middle}, encode;dur=${round(encodeMs)}`;
}

/** Whole microseconds. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
