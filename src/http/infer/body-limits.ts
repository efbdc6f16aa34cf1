/**
 * How much of an inference request is read here. One rule: what fits is read; what does not fit goes to an origin that may
 * take it; else it is too large, and the message says what would fit.
 */
import { EdgewiseError } from '../../errors.ts';
import { contentEncoding } from '../body/inflate.ts';
import type { BodyLimits } from '../body/read.ts';
import { declaredLength, type Overlong } from '../body/sent.ts';
import type { HttpSettings } from '../settings.ts';

/** What the headers say of a body before any of it is read. */
export interface BodyHeaders {
  /** As sent; undefined if the request does not say. */
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

/** The limits that the body is read within. JSON has one of its own; a body that holds too much of it is not read at all. */
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

/** A header that says more than there is of the body is not of too much JSON, it is wrong: the parser says so. */
function hasTooMuchJson(headers: BodyHeaders, maxJsonBytes: number): boolean {
  const { declaredBytes, headerLength = '', isCompressed } = headers;
  const jsonBytes = /^\d{1,15}$/.test(headerLength) ? Number(headerLength) : 0;
  if (declaredBytes !== undefined && !isCompressed && jsonBytes > declaredBytes) return false;
  return jsonBytes > maxJsonBytes;
}

/** What stands against sending a body on to an origin. */
export type Obstacle =
  /** There is no origin, or none for this model, in this jurisdiction. */
  | 'no-origin'
  /** The model is published for the edge only. */
  | 'edge-model'
  /** The caller asks for the edge. */
  | 'edge-wished'
  /** Uses are counted against a quota or for a royalty, so the body has to be read. */
  | 'counted'
  /** The model takes values within bounds, so the body has to be read. */
  | 'bounded'
  /** The body is too long for that, too. */
  | 'too-long';

const obstacles: { readonly [O in Obstacle]: string } = {
  'no-origin': 'this server has no origin that takes larger ones',
  'edge-model': 'the model is published for the edge only, so no origin takes larger ones',
  'edge-wished': 'Edgewise-Tier asks for the edge, without it an origin takes larger ones',
  counted: 'uses of this model are counted, so the body has to be read here and cannot go to an origin',
  bounded: 'the model takes values within bounds, so the body has to be read here and cannot go to an origin',
  'too-long': 'an origin takes no more',
};

/** The 413: the size, the limit with its key, why no origin has it, and what would fit. */
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

function binaryRoom({ maxBytes }: BodyLimits, exceeded: number): string {
  return maxBytes > exceeded ? `, of which ${maxBytes} bytes are accepted` : '';
}
