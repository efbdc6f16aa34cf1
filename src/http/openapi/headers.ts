/** The headers of requests and responses, as components that routes refer to by name. */
import { z } from '@hono/zod-openapi';

/** Response headers: name → what the value says. */
const responseHeaders = {
  'Cache-Control': 'How long the response may be stored, and by whom.',
  ETag: 'The digest of the content, in quotes.',
  'Edgewise-AI-Generated': '`?1` if the terms of the model ask for the label of machine-made output.',
  'Edgewise-Attribution': 'The line of attribution that the terms of the model ask for, percent-encoded.',
  'Edgewise-Error': 'The error code; docs/errors.md lists them.',
  'Edgewise-Model': 'The version that answered: `name@version; digest=sha256:…`.',
  'Edgewise-Reason': 'Why placement chose the tier.',
  'Edgewise-Receipt': 'The receipt of the answer, refusal or acceptance: a compact JWS.',
  'Edgewise-Receipt-Id': 'The id of a receipt that is too long for a header.',
  'Edgewise-Receipt-Proof': 'The C2SP tlog-proof of the receipt in base64url, with `Prefer: receipt=logged`.',
  'Edgewise-Receipt-Salt': 'The salt of the commitments in the receipt. The server does not keep it.',
  'Edgewise-Tier': 'Where the answer was computed: `edge` or `origin`.',
  'Inference-Header-Content-Length': 'The length in bytes of the JSON part, if binary tensors follow it.',
  Link: 'The address of the next page (RFC 8288); absent on the last page.',
  Location: 'The address of the reference page.',
  'Preference-Applied': 'The preference of the request that was honoured.',
  RateLimit: 'What is left of the rate or the quota (draft-ietf-httpapi-ratelimit-headers-10).',
  'RateLimit-Policy': 'The rate or the quota itself.',
  'Retry-After': 'Seconds after which the request may succeed.',
  'Server-Timing': 'Milliseconds for each stage of the request.',
  'WWW-Authenticate': 'The scheme of the credentials that are expected: `Bearer`.',
  'X-Request-Id': 'The id of the request: the one that was sent if it is usable.',
  traceparent: 'W3C trace context.',
} as const;

export type ResponseHeaderName = keyof typeof responseHeaders;

export const headerComponents = Object.entries(responseHeaders).map(([name, description]) => ({
  name,
  header: { description, schema: { type: 'string' as const } },
}));

/** Every response carries these. */
const commonHeaders = ['X-Request-Id', 'traceparent'] as const;

export function headersOf(...names: readonly ResponseHeaderName[]) {
  return Object.fromEntries(
    [...commonHeaders, ...names].map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  );
}

function requestHeader(name: string, description: string, schema: z.ZodType = z.string()) {
  return schema.optional().openapi({ param: { name, in: 'header' }, description });
}

/** Request headers. Their handlers read and check them. */
export const requestHeaders = {
  jurisdiction: requestHeader(
    'Edgewise-Jurisdiction',
    'The request may be computed, and its records kept, under this law only: `eu`, or a country code such as `de`.',
    z.string().regex(/^[a-z][a-z-]{1,31}$/),
  ),
  purpose: requestHeader('Edgewise-Purpose', 'What the caller uses the answer for.'),
  tier: requestHeader(
    'Edgewise-Tier',
    'Where the caller wants the answer computed.',
    z.enum(['edge', 'origin']),
  ),
  timeout: requestHeader(
    'Edgewise-Timeout-Ms',
    'Milliseconds after which the caller no longer waits for the answer.',
  ),
  headerLength: requestHeader(
    'Inference-Header-Content-Length',
    'The length in bytes of the JSON part; binary tensors follow it. 0: the whole body is one raw tensor.',
  ),
  prefer: requestHeader(
    'Prefer',
    '`receipt=logged` delays the answer until the log has its receipt (RFC 7240).',
  ),
  session: requestHeader(
    'X-Session-Id',
    'Keeps an unauthenticated caller with one version of an alias that splits its traffic.',
  ),
} as const;
