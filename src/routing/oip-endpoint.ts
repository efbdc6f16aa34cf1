/** Sends one inference to one endpoint over the Open Inference Protocol v2: tensors out, tensors back. */
import type { Bytes } from '../bytes.ts';
import type { Fetches } from '../engine/types.ts';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import { loadReportOf } from '../protocol/load-report.ts';
import { encodeInferRequest, parseInferResponse } from '../protocol/oip/infer-client.ts';
import { type EncodedMessage, headerLengthName, type InferRequest } from '../protocol/oip/types.ts';
import type { Manifest } from '../repository/schema.ts';
import type { Tensor, TensorSpec } from '../tensor/tensor.ts';
import type { Capabilities } from './capabilities.ts';
import type { EndpointConfig } from './endpoint-config.ts';
import { cannotEncode, hopHeaders, modelFailure, readAnswer, sendToEndpoint } from './endpoint-request.ts';
import { refusalOf } from './oip-errors.ts';
import { withDimensions, withoutDimension } from './scalars.ts';
import type { Attempt } from './types.ts';

export interface OipRequest {
  readonly manifest: Pick<Manifest, 'name' | 'version' | 'outputs' | 'maxBatchSize'>;
  readonly request: InferRequest;
  /** The caller's body, if all its inputs are binary: it is sent unchanged to endpoints that accept binary. */
  readonly original?: { readonly body: Bytes; readonly headerLength: string } | undefined;
  readonly requestId: string;
  readonly traceparent?: string | undefined;
  /** Limit of the answer's body as received from the endpoint. */
  readonly maxAnswerBytes: number;
}

export interface OriginAnswer {
  /** The outputs that the request lists, else all outputs of the model. */
  readonly outputs: Fetches;
  /** The endpoint's `Server-Timing`, unchanged. */
  readonly serverTiming?: string;
}

/**
 * Returns an attempt that can be made at several endpoints. Each is asked for plain tensors, in binary if it supports that;
 * classification happens here, when the answer is encoded for the caller.
 *
 * The attempt throws AttemptError, or an EdgewiseError for the caller: the caller's error if the endpoint rejects the
 * request (`invalid_request` and similar), `too_large` for an answer beyond `maxAnswerBytes`, `deadline_exceeded` if the
 * endpoint had all of the caller's time and did not finish.
 */
export function oipAttempt(capabilities: Capabilities, request: OipRequest): Attempt<OriginAnswer> {
  const specs = requestedSpecs(request);
  const encode = encoder(request);
  return async (endpoint, context) => {
    const { binary, scalars = true } = await capabilities.of(endpoint, context.signal);
    if (!binary) refuseFp16(request.request, specs);
    const { body, headerLength } = encode(binary, scalars);
    const response = await sendToEndpoint(endpoint, {
      method: 'POST',
      path: inferPath(endpoint.config, request.manifest),
      body,
      headers: inferHeaders(headerLength, request, endpoint.config, context.remainingMs),
      signal: context.signal,
    });
    const load = loadReportOf(response.headers);
    if (!response.ok) {
      const { timeout } = request.request.parameters;
      const isCallersDeadline = context.remainingMs <= endpoint.config.timeoutMs || Boolean(timeout);
      throw await refusalOf(response, context.signal, isCallersDeadline);
    }
    const answer = await readAnswer(response, request.maxAnswerBytes, context.signal);
    if (answer === undefined) {
      throw new EdgewiseError(
        'too_large',
        `the answer has more than ${request.maxAnswerBytes} bytes; ask for fewer or smaller outputs`,
      );
    }
    const serverTiming = response.headers.get('server-timing');
    return {
      value: {
        outputs: outputsOf(
          answer,
          response.headers,
          specs,
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

/** Returns the outputs that the request lists, without those that the model lacks; all outputs if it lists none. */
function requestedSpecs({ manifest, request }: OipRequest): readonly TensorSpec[] {
  return (
    request.outputs?.flatMap(({ name }) => manifest.outputs.filter((spec) => spec.name === name)) ??
    manifest.outputs
  );
}

/** @throws AttemptError `lacks-model` if a tensor has no JSON form: an endpoint that accepts binary can serve it. */
function refuseFp16({ inputs }: InferRequest, specs: readonly TensorSpec[]): void {
  const hasFp16 = [...inputs.values(), ...specs].some(({ datatype }) => datatype === 'FP16');
  if (!hasFp16) return;
  throw cannotEncode('no origin server takes FP16 tensors', 'takes JSON only, and FP16 has no JSON form');
}

type Body = Pick<EncodedMessage, 'body' | 'headerLength'>;

/** Returns an encoder that encodes the request once per form, however many endpoints are tried. */
function encoder({ manifest, request, original }: OipRequest): (binary: boolean, scalars: boolean) => Body {
  const encoded = new Map<string, Body>();
  const untouched = original !== undefined && answersInBinary(request) ? original : undefined;
  return (binary, scalars) => {
    const inputs = scalars ? request.inputs : withDimensions(request.inputs, manifest.maxBatchSize);
    const isUnchanged = inputs === request.inputs;
    if (binary && isUnchanged && untouched !== undefined && untouched.headerLength !== '0') return untouched;
    const form = `${binary} ${isUnchanged}`;
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
 * Whether the caller's request asks for plain tensors in binary. If not, encoding the request anew costs a copy of the
 * inputs, and saves printing and parsing numbers as text.
 */
function answersInBinary({ outputs, binaryOutput }: InferRequest): boolean {
  return (
    outputs?.every(({ binary, classification }) => binary && classification === undefined) ?? binaryOutput
  );
}

/** The caller's own headers are not sent: the endpoint need not know the caller. */
function inferHeaders(
  headerLength: string | undefined,
  request: OipRequest,
  config: EndpointConfig,
  remainingMs: number,
): Readonly<Record<string, string>> {
  const headers = hopHeaders(request, config, remainingMs);
  headers['Content-Type'] = headerLength === undefined ? 'application/json' : 'application/octet-stream';
  if (headerLength !== undefined) headers[headerLengthName] = headerLength;
  return headers;
}

/**
 * Parses the outputs of an answer. Their shapes are not compared to the model's: a runtime may return other shapes than the
 * graph declares.
 *
 * @param maxBatchSize Set for a server whose tensors have at least one dimension besides the batch.
 * @throws AttemptError `model-failure` if the answer cannot be read, or does not match the model.
 */
function outputsOf(
  body: Uint8Array,
  headers: Headers,
  specs: readonly TensorSpec[],
  maxBatchSize: number | undefined,
): Fetches {
  const headerLength = headers.get(headerLengthName) ?? undefined;
  let given: Fetches;
  try {
    given = parseInferResponse(body, { headerLength }).outputs;
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    // The parser's message quotes the answer's content, which must not be logged.
    throw modelFailure('its answer cannot be read');
  }
  return new Map(specs.map((spec) => [spec.name, checkOutput(given.get(spec.name), spec, maxBatchSize)]));
}

function checkOutput(
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
