/** Stage 8: the outputs as the body of an answer, in the form that the request asks for. */
import { encodeInferResponse } from '../../protocol/oip/infer-response.ts';
import { type EncodedMessage, headerLengthName } from '../../protocol/oip/types.ts';
import type { InferenceAnswer, RanRequest } from './request.ts';
import { serverTiming } from './server-timing.ts';

/** @throws EdgewiseError `too_large` for an answer over the limit; `invalid_request` for a form that an output cannot take */
export function encode(request: RanRequest): InferenceAnswer {
  const { bodyMs, charge, input, model, outcome, runBeganMs, runEndedMs, services, startedMs, units } =
    request;
  const { manifest } = model;
  const encoded = encodeInferResponse({
    modelName: manifest.name,
    modelVersion: manifest.version,
    id: input.id,
    outputs: outcome.outputs,
    requested: input.outputs,
    binaryOutput: input.binaryOutput,
    labels: manifest.labels,
    batched: manifest.maxBatchSize > 0,
    maxBytes: services.settings.maxAnswerBytes,
  });
  const parseMs = runBeganMs - startedMs - bodyMs;
  const runMs = runEndedMs - runBeganMs;
  const encodeMs = services.clock.now() - runEndedMs;
  const { timings } = outcome;
  return {
    tier: outcome.tier,
    reason: outcome.reason,
    jurisdiction: request.jurisdiction,
    units,
    runtime: outcome.runtime,
    inputs: input.inputs,
    outputs: outcome.outputs,
    charge,
    times: {
      batchSize: units,
      queueMs: timings?.queueMs ?? 0,
      inputMs: parseMs,
      inferMs: timings?.runMs ?? runMs,
      outputMs: encodeMs,
    },
    serverTiming: serverTiming(parseMs, timings ?? runMs, encodeMs),
    toResponse: (more) => new Response(encoded.body, { headers: { ...contentHeaders(encoded), ...more } }),
  };
}

function contentHeaders({ contentType, headerLength }: EncodedMessage): Record<string, string> {
  return headerLength === undefined
    ? { 'Content-Type': contentType }
    : { 'Content-Type': contentType, [headerLengthName]: headerLength };
}
