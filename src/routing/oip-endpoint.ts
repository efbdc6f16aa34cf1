/** One inference at one endpoint over the Open Inference Protocol v2: tensors there, tensors back. */
import type { Fetches } from '../engine/types.ts';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import { loadReportFormatHeader, loadReportOf } from '../protocol/load-report.ts';
import { encodeInferRequest, parseInferResponse } from '../protocol/oip/infer-client.ts';
import { type EncodedMessage, headerLengthName, type InferRequest } from '../protocol/oip/types.ts';
import type { Manifest } from '../repository/schema.ts';
import type { Tensor, TensorSpec } from '../tensor/tensor.ts';
import type { Capabilities } from './capabilities.ts';
import type { EndpointConfig } from './endpoint-config.ts';
import { modelFailure, readAnswer, sendToEndpoint } from './endpoint-request.ts';
import { refusalOf } from './oip-errors.ts';
import { withDimensions, withoutDimension } from './scalars.ts';
import { type Attempt, type AttemptContext, AttemptError, type Endpoint } from './types.ts';

export interface OipRequest {
  readonly manifest: Pick<Manifest, 'name' | 'version' | 'outputs' | 'maxBatchSize'>;
  readonly request: InferRequest;
  /** The body as it came, where all its inputs are binary: goes on untouched to endpoints that take binary. */
  readonly original?: { readonly body: Uint8Array<ArrayBuffer>; readonly headerLength: string } | undefined;
  readonly requestId: string;
  readonly traceparent?: string | undefined;
  /** Of the answer's body as it comes from the endpoint. */
  readonly maxAnswerBytes: number;
}

export interface OriginAnswer {
  /** Those that the request lists, else all of the model's. */
  readonly outputs: Fetches;
  /** The endpoint's `Server-Timing`, as it came. */
  readonly serverTiming?: string;
}

/**
 * An inference that may be tried at several endpoints. Each is asked for plain tensors, in binary where it can:
 * classification is left to whoever encodes the answer for the caller.
 *
 * The attempt throws AttemptError, or the EdgewiseError that is the answer: `invalid_request` and its kin when the
 * endpoint refuses the request, `too_large` for an answer beyond `maxAnswerBytes`, `deadline_exceeded` when the
 * endpoint had all the time that the caller has and found it too short.
 */
export function oipAttempt(capabilities: Capabilities, request: OipRequest): Attempt<OriginAnswer> {
  const wanted = wantedOutputs(request);
  const encode = encoder(request);
  return async (endpoint, context) => {
    const asked = capabilities.of(endpoint, context.signal);
    const { binary, scalars = true } = asked instanceof Promise ? await asked : asked;
    if (!binary) refuseHalves(request.request, wanted);
    const response = await sendToEndpoint(endpoint, {
      method: 'POST',
      path: inferPath(endpoint.config, request.manifest),
      ...message(encode(binary, scalars), request, endpoint, context),
      signal: context.signal,
    });
    const load = loadReportOf(response.headers);
    if (!response.ok) {
      const { timeout } = request.request.parameters;
      const isCallersDeadline = context.remainingMs <= endpoint.config.timeoutMs || Boolean(timeout);
      throw await refusalOf(response, context.signal, isCallersDeadline);
    }
    const body = await readAnswer(response, request.maxAnswerBytes, context.signal);
    if (body === undefined) {
      throw new EdgewiseError(
        'too_large',
        `the answer has more than ${request.maxAnswerBytes} bytes, ask for fewer or smaller outputs`,
      );
    }
    const serverTiming = response.headers.get('server-timing');
    return {
      value: {
        outputs: outputsOf(
          body,
          response.headers,
          wanted,
          scalars ? undefined : request.manifest.maxBatchSize,
        ),
        ...(serverTiming === null ? undefined : { serverTiming }),
      },
      load,
    };
  };
}

/** `/v2/models/{their name}[/versions/{version}]/infer` */
export function inferPath(
  { modelNames, versions }: Pick<EndpointConfig, 'modelNames' | 'versions'>,
  { name, version }: Pick<Manifest, 'name' | 'version'>,
): string {
  const theirs = Object.hasOwn(modelNames, name) ? (modelNames[name] ?? name) : name;
  const versioned = versions === 'same' ? `/versions/${encodeURIComponent(version)}` : '';
  return `/v2/models/${encodeURIComponent(theirs)}${versioned}/infer`;
}

/** Whole milliseconds that an attempt may take: what the request has left, and the endpoint's own limit. */
export function attemptTimeMs({ timeoutMs }: Pick<EndpointConfig, 'timeoutMs'>, remainingMs: number): number {
  return Math.max(1, Math.floor(Math.min(remainingMs, timeoutMs)));
}

function wantedOutputs({ manifest, request }: OipRequest): readonly TensorSpec[] {
  return (
    request.outputs?.flatMap(({ name }) => manifest.outputs.filter((spec) => spec.name === name)) ??
    manifest.outputs
  );
}

/** @throws AttemptError `lacks-model` where a tensor has no JSON form: an endpoint that takes binary can do better. */
function refuseHalves({ inputs }: InferRequest, wanted: readonly TensorSpec[]): void {
  const halves = [...inputs.values(), ...wanted].some(({ datatype }) => datatype === 'FP16');
  if (!halves) return;
  const reason = new Error('takes JSON only, and FP16 has no JSON form');
  throw new AttemptError(
    'lacks-model',
    new EdgewiseError('origin_unavailable', 'no origin server takes FP16 tensors', { cause: reason }),
    undefined,
    true,
  );
}

type Message = Pick<EncodedMessage, 'body' | 'headerLength'>;

/** Encodes once for each form, however many endpoints are tried. */
function encoder({
  manifest,
  request,
  original,
}: OipRequest): (binary: boolean, scalars: boolean) => Message {
  const encoded = new Map<string, Message>();
  const untouched = original !== undefined && answersInBinary(request) ? original : undefined;
  return (binary, scalars) => {
    const inputs = scalars ? request.inputs : withDimensions(request.inputs, manifest.maxBatchSize);
    const asItCame = inputs === request.inputs;
    if (binary && asItCame && untouched !== undefined && untouched.headerLength !== '0') return untouched;
    const form = `${binary} ${asItCame}`;
    const known = encoded.get(form);
    if (known !== undefined) return known;
    const made = encodeInferRequest({
      id: request.id,
      parameters: request.parameters,
      inputs,
      outputs: request.outputs?.map(({ name }) => ({ name, binary })),
      binaryInput: binary,
      binaryOutput: binary,
    });
    encoded.set(form, made);
    return made;
  };
}

/**
 * Whether the request as it came asks for plain tensors in binary. Where it does not, asking again in our own words
 * costs a copy of the inputs, and saves the endpoint from printing, and us from reading, numbers as text.
 */
function answersInBinary({ outputs, binaryOutput }: InferRequest): boolean {
  return (
    outputs?.every(({ binary, classification }) => binary && classification === undefined) ?? binaryOutput
  );
}

/** The caller's own headers stay here: whose request it is, is no business of the endpoint. */
function message(
  { body, headerLength }: Message,
  { requestId, traceparent }: OipRequest,
  { config }: Endpoint,
  { remainingMs }: AttemptContext,
): { readonly body: Uint8Array<ArrayBuffer>; readonly headers: Readonly<Record<string, string>> } {
  const headers: Record<string, string> = {
    'Content-Type': headerLength === undefined ? 'application/json' : 'application/octet-stream',
    'X-Request-Id': requestId,
    'Edgewise-Timeout-Ms': String(attemptTimeMs(config, remainingMs)),
    [loadReportFormatHeader]: 'json',
  };
  if (headerLength !== undefined) headers[headerLengthName] = headerLength;
  if (traceparent !== undefined) headers['traceparent'] = traceparent;
  return { body, headers };
}

/**
 * The shape of an output is what the runtime says: a graph may declare another one.
 *
 * @param maxBatchSize The model's, of a server whose tensors have at least one dimension beside the batch.
 * @throws AttemptError `model-failure` when the answer cannot be read, or is not the model's.
 */
function outputsOf(
  body: Uint8Array,
  headers: Headers,
  wanted: readonly TensorSpec[],
  maxBatchSize: number | undefined,
): Fetches {
  const headerLength = headers.get(headerLengthName) ?? undefined;
  let given: Fetches;
  try {
    given = parseInferResponse(body, { headerLength }).outputs;
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    // What is wrong with it is said in words of its content, which no log holds.
    throw modelFailure('its answer cannot be read');
  }
  return new Map(wanted.map((spec) => [spec.name, checkedOutput(given.get(spec.name), spec, maxBatchSize)]));
}

function checkedOutput(
  answered: Tensor | undefined,
  spec: TensorSpec,
  maxBatchSize: number | undefined,
): Tensor {
  const { name, datatype } = spec;
  if (answered === undefined) throw modelFailure(`its answer has no output "${name}"`);
  if (answered.datatype !== datatype) {
    throw modelFailure(`output "${name}" of its answer is ${answered.datatype}, the model's is ${datatype}`);
  }
  return maxBatchSize === undefined ? answered : withoutDimension(answered, spec, maxBatchSize);
}
