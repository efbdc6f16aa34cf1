/**
 * The path of a request: who calls → which model → tensors → where → permit → run → encode. Nothing of the request is
 * kept. It waits only where something is to be waited for: a warm model costs one await for the body and one for the
 * run.
 */
import type { RunTimings } from '../engine/types.ts';
import { EdgewiseError } from '../errors.ts';
import { checkRequestedOutputs } from '../protocol/oip/check-outputs.ts';
import { parseInferRequest } from '../protocol/oip/infer-request.ts';
import { encodeInferResponse } from '../protocol/oip/infer-response.ts';
import { type EncodedMessage, headerLengthName, type InferRequest } from '../protocol/oip/types.ts';
import type { ResolvedModel } from '../repository/model-repository.ts';
import type { Manifest } from '../repository/schema.ts';
import { predictRunMs } from '../routing/cost.ts';
import { checkFeeds } from '../tensor/check.ts';
import { identify, requireUse } from './auth.ts';
import { readBody } from './body.ts';
import type { AppContext } from './context.ts';
import { placed, tierWish } from './placement.ts';
import { poolModel } from './pool-model.ts';
import type { Services } from './services.ts';

export async function infer(c: AppContext, services: Services): Promise<Response> {
  const { clock, repository, settings, statistics } = services;
  const startedMs = clock.now();
  const name = c.req.param('name') ?? '';
  const caller = identify(c.req.header('authorization'), settings);
  requireUse(caller instanceof Promise ? await caller : caller, name, settings);
  const found = repository.resolve(name, c.req.param('version'));
  const model = found instanceof Promise ? await found : found;
  try {
    return await answer(c, services, model, startedMs);
  } catch (error) {
    statistics.fail(model.manifest.name, model.manifest.version, clock.now() - startedMs);
    throw error;
  }
}

async function answer(
  c: AppContext,
  services: Services,
  model: ResolvedModel,
  startedMs: number,
): Promise<Response> {
  const { admission, clock, pool, settings, statistics } = services;
  const { manifest } = model;
  const body = await readBody(c.req.raw, settings.body);
  const request = parseInferRequest(body, {
    headerLength: c.req.header(headerLengthName),
    model: manifest,
    limits: settings.json,
  });
  checkFeeds(request.inputs, manifest.inputs, manifest);
  checkRequestedOutputs(request, manifest.outputs);
  const placement = placed(services, manifest, tierWish(c.req.header('edgewise-tier')));
  const parsedMs = clock.now();

  const pooled = poolModel(services, model);
  const permit = admission.acquire(expectedMs(request, manifest));
  let outputs: Awaited<ReturnType<typeof pool.run>>['outputs'];
  let timings: RunTimings;
  try {
    ({ outputs, timings } = await pool.run(
      pooled,
      request.inputs,
      request.outputs?.map((output) => output.name),
      // Whoever waits may leave. Asking workerd for the signal costs as much as a small model, so it is asked only then.
      {
        signal: pool.waits(pooled.key) ? c.req.raw.signal : undefined,
        deadlineMs: deadlineMs(request),
      },
    ));
  } finally {
    permit.release();
  }

  const ranMs = clock.now();
  const encoded = encodeInferResponse({
    modelName: manifest.name,
    modelVersion: manifest.version,
    id: request.id,
    outputs,
    requested: request.outputs,
    binaryOutput: request.binaryOutput,
    labels: manifest.labels,
    batched: manifest.maxBatchSize > 0,
    maxBytes: settings.maxAnswerBytes,
  });
  const parseMs = parsedMs - startedMs;
  const encodeMs = clock.now() - ranMs;
  statistics.success(manifest.name, manifest.version, {
    batchSize: batchSize(request, manifest),
    queueMs: timings.queueMs,
    inputMs: parseMs,
    inferMs: timings.runMs,
    outputMs: encodeMs,
  });
  return new Response(encoded.body, {
    headers: {
      ...contentHeaders(encoded),
      'Edgewise-Tier': placement.tier,
      'Edgewise-Reason': placement.reason,
      'Edgewise-Model': `${manifest.name}@${manifest.version}; digest=${model.manifestDigest}`,
      'Server-Timing': serverTiming(parseMs, timings, encodeMs),
    },
  });
}

/** The `timeout` of Triton's schedule policy: microseconds that the request may wait before its run begins. */
function deadlineMs({ parameters }: InferRequest): number | undefined {
  const timeout = Object.hasOwn(parameters, 'timeout') ? parameters['timeout'] : undefined;
  if (timeout === undefined || timeout === 0) {
    return undefined;
  }
  if (typeof timeout !== 'number' || !Number.isSafeInteger(timeout) || timeout < 0) {
    throw new EdgewiseError(
      'invalid_request',
      `parameter timeout is ${JSON.stringify(timeout)}, wanted a whole number of microseconds`,
    );
  }
  return timeout / 1000;
}

/** What the run is expected to take of this isolate's one thread. */
function expectedMs(request: InferRequest, { edgeProfile }: Manifest): number {
  if (edgeProfile === undefined) {
    return 0;
  }
  let elements = 0;
  for (const { data } of request.inputs.values()) {
    elements += data.length;
  }
  return predictRunMs(edgeProfile, elements);
}

function batchSize(request: InferRequest, manifest: Manifest): number {
  if (manifest.maxBatchSize === 0) {
    return 1;
  }
  const [first] = request.inputs.values();
  return first?.shape[0] ?? 1;
}

function contentHeaders(encoded: EncodedMessage): Record<string, string> {
  return encoded.headerLength === undefined
    ? { 'Content-Type': encoded.contentType }
    : { 'Content-Type': encoded.contentType, [headerLengthName]: encoded.headerLength };
}

function serverTiming(parseMs: number, { loadMs, queueMs, runMs }: RunTimings, encodeMs: number): string {
  return `parse;dur=${round(parseMs)}, load;dur=${round(loadMs)}, queue;dur=${round(queueMs)}, run;dur=${round(runMs)}, encode;dur=${round(encodeMs)}`;
}

/** Whole microseconds. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
