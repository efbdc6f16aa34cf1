/**
 * Passes a request to an endpoint unchanged and streams its answer back: for OIP bodies that are too large to hold in
 * memory, and for OpenAI's routes. The attempt ends with the head of the answer; no retry happens after that.
 */

import type { Bytes } from '../bytes.ts';
import type { EdgewiseError } from '../errors.ts';
import { loadReportOf } from '../protocol/load-report.ts';
import { headerLengthName } from '../protocol/oip/types.ts';
import type { EndpointConfig } from './endpoint-config.ts';
import { attemptTimeMs, brokenOff, hopHeaders, sendToEndpoint } from './endpoint-request.ts';
import { wholeEvents } from './event-stream.ts';
import { refusalOf, verdictOfStatus } from './oip-errors.ts';
import type { Attempt, Endpoint } from './types.ts';

/** Control over a body that is received from the caller while it is sent on. */
export interface UploadControl {
  /** Limits the time of the whole upload to `ms`. */
  limitTo(ms: number): void;
  /** The caller's error, if it is why the body broke off. */
  readonly fault: EdgewiseError | undefined;
}

/** Share of an attempt's time for the caller's upload; the rest is the endpoint's, so that a slow caller never makes it late. */
const uploadShare = 0.8;

export interface PassThroughRequest {
  readonly method: 'GET' | 'POST';
  /** Returns the path below the endpoint's URL, percent-encoded; `inferPath` for an inference. */
  readonly path: (config: EndpointConfig) => string;
  /** The caller's headers that are passed on, chosen by the route. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes may be sent to several endpoints; a stream only once. */
  readonly body?: Bytes | ReadableStream<Uint8Array> | null | undefined;
  /** Set for a streamed body. */
  readonly upload?: UploadControl | undefined;
  readonly requestId: string;
  readonly traceparent?: string | undefined;
  /** The caller's signal. It also ends the streamed answer. */
  readonly signal?: AbortSignal | undefined;
  /** Called when a stream of events breaks off, for the log. The caller gets an error event. */
  readonly onBroken?: ((error: unknown) => void) | undefined;
}

/** The endpoint's headers that are passed to the caller. */
const passedHeaders = [
  'Content-Type',
  headerLengthName,
  'Retry-After',
  'Retry-After-Ms',
  'X-Should-Retry',
  'Edgewise-Error',
  'Server-Timing',
];

/** The last event of a stream that breaks off: OpenAI's error object, which its clients recognise. */
const brokenOffEvent = JSON.stringify({
  error: {
    message: 'the origin server broke off in the middle of the answer',
    type: 'server_error',
    param: null,
    code: 'origin_unavailable',
  },
});

/**
 * Returns an attempt that resolves with the head of the answer, whose body is a stream at the reader's pace. After that the
 * attempt's signal has no effect; the caller's signal ends the stream, and so does cancelling the body.
 *
 * A stream of events that breaks off ends with an error event; any other body that breaks off fails.
 *
 * The attempt throws AttemptError if another endpoint may succeed, and the upload's `fault` if the upload failed. If the
 * request is at fault, it throws an EdgewiseError for an `oip` endpoint, and resolves with the endpoint's own answer for an
 * `openai` endpoint, whose clients read more from it than the message.
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
        headers: { ...request.headers, ...hopHeaders(request, endpoint.config, context.remainingMs) },
        body: request.body ?? undefined,
        signal: exchange.signal,
      });
      if (context.signal.aborted) throw brokenOff(context.signal.reason, context.signal);
      const load = loadReportOf(response.headers);
      if (!response.ok && !isForCaller(response, endpoint)) {
        const isCallersDeadline = context.remainingMs <= endpoint.config.timeoutMs;
        throw await refusalOf(response, exchange.signal, isCallersDeadline);
      }
      follow(request.signal, exchange);
      return {
        value: answerForCaller(response, exchange.signal, request),
        load,
        discard: () => exchange.abort(new Error('the answer is not used')),
      };
    } catch (error) {
      // Stop what is still being sent or received.
      exchange.abort(error);
      throw upload?.fault ?? error;
    } finally {
      untie();
    }
  };
}

/** Aborts `controller` when `signal` is aborted. @returns a function that ends this. */
function follow(signal: AbortSignal | undefined, controller: AbortController): () => void {
  if (signal === undefined) return () => undefined;
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return () => signal.removeEventListener('abort', abort);
}

function isForCaller(response: Response, { config }: Endpoint): boolean {
  return config.protocol === 'openai' && verdictOfStatus(response.status) === 'caller';
}

function answerForCaller(
  response: Response,
  signal: AbortSignal,
  { onBroken }: PassThroughRequest,
): Response {
  const headers = new Headers();
  for (const name of passedHeaders) {
    const value = response.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const isEvents = /^text\/event-stream\b/i.test(headers.get('content-type') ?? '');
  const body =
    isEvents && response.body !== null
      ? wholeEvents(response.body, { lastWord: brokenOffEvent, signal, onBroken })
      : response.body;
  return new Response(body, { status: response.status, headers });
}
