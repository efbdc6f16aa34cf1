/**
 * Limits of an inference request's body. A body that fits is read here; a body that does not fit goes to an origin that may
 * take it; if there is none it is too large, and the message says what would fit.
 */
import { EdgewiseError } from '../../errors.ts';
import { contentEncoding } from '../body/inflate.ts';
import type { BodyLimits } from '../body/read.ts';
import { declaredLength, type Overlong } from '../body/sent.ts';
import type { HttpSettings } from '../settings.ts';

/** What the headers tell about a body before it is read. */
export interface BodyHeaders {
  /** The length as sent; undefined if the request does not declare one. */
  readonly declaredBytes: number | undefined;
  readonly isCompressed: boolean;
  /** The raw `Inference-Header-Content-Length`; without it all of the body is JSON. */
  readonly headerLength: string | undefined;
}

export function bodyHeaders({ headers }: Request, headerLength: string | undefined): BodyHeaders {
  return {
    declaredBytes: declaredLength(headers),
    isCompressed: contentEncoding(headers.get('content-encoding')) !== undefined,
    headerLength,
  };
}

export type InferLimits = Pick<HttpSettings, 'body' | 'json' | 'maxStreamedBytes'>;

const nothing: BodyLimits = { maxBytes: 0, maxDecompressedBytes: 0 };

/** Returns the limits for reading the body. JSON has a limit of its own; a body with too much JSON is not read at all. */
export function inferBodyLimits(headers: BodyHeaders, { body, json }: InferLimits): BodyLimits {
  const { headerLength, isCompressed } = headers;
  if (headerLength === undefined) {
    const maxJsonBytes = Math.min(body.maxDecompressedBytes, json.maxJsonBytes);
    return {
      maxBytes: isCompressed ? body.maxBytes : Math.min(body.maxBytes, maxJsonBytes),
      maxDecompressedBytes: maxJsonBytes,
    };
  }
  return hasTooMuchJson(headers, json.maxJsonBytes) ? nothing : body;
}

/**
 * Whether the header states a JSON part of more than `maxJsonBytes`. False without a header, and for one that is not a number or
 * states more bytes than the body has: these are errors, which the parser reports.
 */
function hasTooMuchJson(headers: BodyHeaders, maxJsonBytes: number): boolean {
  const { declaredBytes, headerLength = '', isCompressed } = headers;
  const jsonBytes = /^\d{1,15}$/.test(headerLength) ? Number(headerLength) : 0;
  if (declaredBytes !== undefined && !isCompressed && jsonBytes > declaredBytes) return false;
  return jsonBytes > maxJsonBytes;
}

/** Why a body cannot go to an origin. */
export type Obstacle =
  /** There is no origin, or none for this model, in this jurisdiction. */
  | 'no-origin'
  /** The model is published for the edge only. */
  | 'edge-model'
  /** The caller asks for the edge. */
  | 'edge-requested'
  /** Uses are counted against a quota or for a royalty, so the body has to be read. */
  | 'counted'
  /** The model takes values within bounds, so the body has to be read. */
  | 'bounded'
  /** The body is too long for an origin, too. */
  | 'too-long';

const obstacles: { readonly [O in Obstacle]: string } = {
  'no-origin': 'this server has no origin that takes larger bodies',
  'edge-model': 'the model is published for the edge only, so no origin takes larger bodies',
  'edge-requested': 'Edgewise-Tier asks for the edge; without that header an origin takes larger bodies',
  counted: 'uses of this model are counted, so the body has to be read here and cannot go to an origin',
  bounded: 'the model takes values within bounds, so the body has to be read here and cannot go to an origin',
  'too-long': 'an origin takes no more',
};

/** Returns the 413 error: the size, the limit with its key, why no origin has the body, and what would fit. */
export function tooLargeToInfer(
  found: Pick<Overlong, 'what'>,
  headers: BodyHeaders,
  { body, json, maxStreamedBytes }: InferLimits,
  obstacle: Obstacle,
): EdgewiseError {
  const isJson = headers.headerLength === undefined || hasTooMuchJson(headers, json.maxJsonBytes);
  const [maxBytes, key] =
    obstacle === 'too-long'
      ? [maxStreamedBytes, 'EDGEWISE_MAX_STREAMED_MIB']
      : isJson && json.maxJsonBytes < body.maxDecompressedBytes
        ? [json.maxJsonBytes, 'EDGEWISE_MAX_JSON_MIB']
        : [body.maxBytes, 'EDGEWISE_MAX_BODY_MIB'];
  const advice = [
    ...(isJson
      ? [`send the tensors in binary (Inference-Header-Content-Length)${binaryRoom(body, maxBytes)}`]
      : []),
    ...(obstacle === 'too-long' && !headers.isCompressed
      ? ['compress the body (Content-Encoding: gzip)']
      : []),
    'send less at once: fewer rows, a smaller picture',
  ];
  const size = hasTooMuchJson(headers, json.maxJsonBytes)
    ? `the JSON part of the body has ${headers.headerLength} bytes`
    : found.what;
  return new EdgewiseError(
    'too_large',
    `${size}, at most ${maxBytes} bytes${isJson && obstacle !== 'too-long' ? ' of JSON' : ''} are accepted (${key}): ${obstacles[obstacle]}; ${advice.join(', or ')}`,
  );
}

function binaryRoom({ maxBytes }: BodyLimits, exceededLimit: number): string {
  return maxBytes > exceededLimit ? `, of which ${maxBytes} bytes are accepted` : '';
}
