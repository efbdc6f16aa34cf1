/**
 * A request that goes to an endpoint as it is, and its answer, which comes back as a stream: OIP bodies that are too large
 * to be held, and OpenAI's routes. The attempt ends with the head of the answer; nothing is tried again after that.
 */

import type { EdgewiseError } from '../errors.ts';
import { loadReportFormatHeader, loadReportOf } from '../protocol/load-report.ts';
import { headerLengthName } from '../protocol/oip/types.ts';
import type { EndpointConfig } from './endpoint-config.ts';
import { notReached, sendToEndpoint } from './endpoint-request.ts';
import { wholeEvents } from './event-stream.ts';
import { attemptTimeMs } from './oip-endpoint.ts';
import { refusalOf, verdictOfStatus } from './oip-errors.ts';
import type { Attempt, AttemptContext, Endpoint } from './types.ts';

/** A body that comes from the caller while it is sent on. */
export interface UploadControl {
  /** Gives the caller `ms` in all to send it. */
  limitTo(ms: number): void;
  /** What the caller did wrong, if that is why the body broke off. */
  readonly fault: EdgewiseError | undefined;
}

/** The caller's share of an attempt's time: the rest is the endpoint's, so that a slow caller never makes it late. */
const uploadShare = 0.8;

export interface PassThroughRequest {
  readonly method: 'GET' | 'POST';
  /** From the endpoint's root, percent-encoded; `inferPath` for an inference. */
  readonly path: (config: EndpointConfig) => string;
  /** Those of the caller's headers that go on, chosen by the route. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes may be sent to one endpoint after another; a stream is sent once. */
  readonly body?: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null | undefined;
  /** Of a body that comes from the caller meanwhile. */
  readonly upload?: UploadControl | undefined;
  readonly requestId: string;
  readonly traceparent?: string | undefined;
  /** The caller's: ends the stream too. */
  readonly signal?: AbortSignal | undefined;
  /** Told when a stream of events breaks off, for the log: the caller gets an error event. */
  readonly onBroken?: ((error: unknown) => void) | undefined;
}

/** Of the endpoint's headers, those that the caller gets. */
const passedHeaders = [
  'Content-Type',
  headerLengthName,
  'Retry-After',
  'Retry-After-Ms',
  'X-Should-Retry',
  'Edgewise-Error',
  'Server-Timing',
];

/** The last event of a stream that breaks off: OpenAI's error object, by which its clients know a failure. */
const brokenOff = JSON.stringify({
  error: {
    message: 'the origin server broke off in the middle of the answer',
    type: 'server_error',
    param: null,
    code: 'origin_unavailable',
  },
});

/**
 * Resolves with the head of the answer, whose body is a stream at the reader's pace. From then on the attempt's signal
 * means nothing to it; the caller's ends it, and so does cancelling the body.
 *
 * A stream of events that breaks off ends with an error event; any other body that breaks off fails.
 *
 * The attempt throws AttemptError where another endpoint may do better. What is the caller's fault is an EdgewiseError
 * from an `oip` endpoint, or what is wrong with the upload, and the answer as it is from an `openai` one, whose clients read more from it than a message.
 */
export function passThroughAttempt(request: PassThroughRequest): Attempt<Response> {
  return async (endpoint, context) => {
    const { upload } = request;
    upload?.limitTo(uploadShare * attemptTimeMs(endpoint.config, context.remainingMs));
    const exchange = new AbortController();
    const untie = follow(context.signal, exchange);
    try {
      const response = await sendToEndpoint(endpoint, {
        method: request.method,
        path: request.path(endpoint.config),
        headers: headersFor(request, endpoint, context),
        body: request.body ?? undefined,
        signal: exchange.signal,
      });
      if (context.signal.aborted) throw notReached(context.signal.reason, context.signal);
      const load = loadReportOf(response.headers);
      if (!response.ok && !isForCaller(response, endpoint)) {
        const isCallersDeadline = context.remainingMs <= endpoint.config.timeoutMs;
        throw await refusalOf(response, exchange.signal, isCallersDeadline);
      }
      follow(request.signal, exchange);
      return {
        value: passedOn(response, exchange.signal, request),
        load,
        discard: () => exchange.abort(new Error('the answer is not used')),
      };
    } catch (error) {
      // What is still being sent, or would come, is not wanted any more.
      exchange.abort(error);
      throw upload?.fault ?? error;
    } finally {
      untie();
    }
  };
}

/** Aborts `controller` when `signal` is. @returns what ends that. */
function follow(signal: AbortSignal | undefined, controller: AbortController): () => void {
  if (signal === undefined) return () => undefined;
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return () => signal.removeEventListener('abort', abort);
}

function headersFor(
  { headers, requestId, traceparent }: PassThroughRequest,
  { config }: Endpoint,
  { remainingMs }: AttemptContext,
): Readonly<Record<string, string>> {
  return {
    ...headers,
    'X-Request-Id': requestId,
    'Edgewise-Timeout-Ms': String(attemptTimeMs(config, remainingMs)),
    [loadReportFormatHeader]: 'json',
    ...(traceparent === undefined ? undefined : { traceparent }),
  };
}

function isForCaller(response: Response, { config }: Endpoint): boolean {
  return config.protocol === 'openai' && verdictOfStatus(response.status) === 'caller';
}

function passedOn(response: Response, signal: AbortSignal, { onBroken }: PassThroughRequest): Response {
  const headers = new Headers();
  for (const name of passedHeaders) {
    const value = response.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const isEvents = /^text\/event-stream\b/i.test(headers.get('content-type') ?? '');
  const body =
    isEvents && response.body !== null
      ? wholeEvents(response.body, { lastWord: brokenOff, signal, onBroken })
      : response.body;
  return new Response(body, { status: response.status, headers });
}
