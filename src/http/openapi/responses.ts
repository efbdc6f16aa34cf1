/** What routes declare of their bodies and responses. */
import { z } from '@hono/zod-openapi';
import type { ErrorStatus } from '../error-response.ts';
import { headersOf, type ResponseHeaderName } from './headers.ts';

export type Tag =
  | 'Health'
  | 'Models'
  | 'Inference'
  | 'Repository'
  | 'Admin'
  | 'Accounts'
  | 'Licences'
  | 'Receipts'
  | 'Service';

/** A response with a JSON body. */
export function jsonResponse<S extends z.ZodType>(
  schema: S,
  description: string,
  ...headers: readonly ResponseHeaderName[]
) {
  return { description, headers: headersOf(...headers), content: { 'application/json': { schema } } };
}

type FileType = 'application/octet-stream' | 'application/json' | 'text/plain' | 'text/html';

const binarySchema = { type: 'string', format: 'binary' } as const;

const fileSchemas = {
  'application/octet-stream': binarySchema,
  'application/json': { type: 'object' },
  'text/plain': { type: 'string' },
  'text/html': { type: 'string' },
} as const;

/** A response whose body is bytes or text. */
export function fileResponse<T extends FileType>(
  types: T | readonly T[],
  description: string,
  ...headers: readonly ResponseHeaderName[]
) {
  return { description, headers: headersOf(...headers), content: fileContent([types].flat() as T[]) };
}

function fileContent<T extends FileType>(types: readonly T[]) {
  const content = types.map((type) => [type, { schema: fileSchemas[type] }]);
  return Object.fromEntries(content) as { [K in T]: { schema: { type: 'string' } } };
}

/** A response without a body. */
export function emptyResponse(description: string, ...headers: readonly ResponseHeaderName[]) {
  return { description, headers: headersOf(...headers) };
}

/** The request body: a JSON document that is checked against `schema` before the handler runs. */
export function jsonBody<S extends z.ZodType>(schema: S) {
  return { required: true, content: { 'application/json': { schema } } } as const;
}

/** The request body: bytes, which the handler reads. */
export function binaryBody(type: 'application/octet-stream' | 'text/plain') {
  const schema = type === 'application/octet-stream' ? binarySchema : ({ type: 'string' } as const);
  return { required: true, content: { [type]: { schema } } };
}

/** The request body: a JSON document or nothing, which the handler reads. */
export function optionalJsonBody<S extends z.ZodType>(schema: S) {
  return { required: false, content: { 'application/json': { schema } } } as const;
}

export const errorSchema = z
  .object({ error: z.string().openapi({ description: 'What failed, and what was expected.' }) })
  .openapi('Error');

/** 405 belongs to no operation: it refuses the methods that a path does not have. */
export type RefusalStatus = Exclude<ErrorStatus, 405>;

const refusalTexts: { readonly [S in RefusalStatus]: string } = {
  400: 'The request is malformed, or its content does not fit.',
  401: 'No key was sent where one is needed, or it is unknown.',
  403: 'The caller may not do this.',
  404: 'Nothing is there that the caller may know of.',
  408: 'The body came too slowly.',
  409: 'The state of the resource does not allow this.',
  413: 'The body, or the answer, is too large.',
  415: 'The Content-Encoding is neither gzip nor deflate.',
  429: 'The rate, the quota or the capacity of the server is used up.',
  451: 'The law that binds the request, or a policy pack, forbids this.',
  500: 'The server failed.',
  503: 'What the answer needs is not available now.',
  504: 'The answer was not there in time.',
  507: 'The storage is full.',
};

const refusalHeaders: { readonly [S in ErrorStatus]?: ResponseHeaderName } = {
  401: 'WWW-Authenticate',
  429: 'Retry-After',
  503: 'Retry-After',
};

/** The responses with an error, as components: status → name and response. */
export const refusalComponents = Object.entries(refusalTexts).map(([status, description]) => {
  const header = refusalHeaders[Number(status) as ErrorStatus];
  return {
    name: refusalName(Number(status)),
    response: {
      description,
      headers: headersOf('Edgewise-Error', ...(header === undefined ? [] : [header])),
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
    },
  };
});

function refusalName(status: number): string {
  return `Refused${status}`;
}

/** References to the responses with these error statuses. */
export function refusals<S extends RefusalStatus>(...statuses: readonly S[]) {
  const references = statuses.map((status) => [
    status,
    { $ref: `#/components/responses/${refusalName(status)}` },
  ]);
  return Object.fromEntries(references) as { [K in S]: { $ref: string } };
}
