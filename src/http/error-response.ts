/** The mapping from error codes to HTTP (docs/errors.md). A new code does not compile until it has a status here. */
import { type EdgewiseError, type ErrorCode, toEdgewiseError } from '../errors.ts';

export type ErrorStatus =
  | 400
  | 401
  | 403
  | 404
  | 405
  | 408
  | 409
  | 413
  | 415
  | 429
  | 451
  | 500
  | 503
  | 504
  | 507;

export const statusOfCode: { readonly [C in ErrorCode]: ErrorStatus } = {
  invalid_request: 400,
  shape_mismatch: 400,
  unsupported_datatype: 400,
  unauthenticated: 401,
  forbidden: 403,
  licence_not_accepted: 403,
  licence_reacceptance_required: 403,
  grant_expired: 403,
  grant_missing: 403,
  grant_revoked: 403,
  purpose_not_allowed: 403,
  model_stopped: 403,
  not_found: 404,
  model_not_found: 404,
  version_not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  too_large: 413,
  body_timeout: 408,
  unsupported_encoding: 415,
  quota_exceeded: 429,
  overloaded: 429,
  policy_refused: 451,
  territory_not_allowed: 451,
  residency_unavailable: 451,
  model_not_ready: 503,
  origin_unavailable: 503,
  no_capacity: 503,
  records_unavailable: 503,
  deadline_exceeded: 504,
  storage_full: 507,
  digest_mismatch: 500,
  signature_invalid: 500,
  internal: 500,
};

const defaultRetryAfterSeconds = 1;

export interface HttpError {
  readonly status: ErrorStatus;
  readonly code: ErrorCode;
  /** Safe to send: the message of a server failure discloses no internals. */
  readonly message: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Turns any thrown value into an HTTP error. */
export function toHttpError(thrown: unknown): HttpError {
  const error = toEdgewiseError(thrown);
  const status = statusOfCode[error.code];
  const headers: Record<string, string> = { 'Edgewise-Error': error.code };
  if (status === 429 || status === 503) {
    headers['Retry-After'] = String(Math.ceil(error.retryAfterSeconds ?? defaultRetryAfterSeconds));
  }
  if (status === 401) {
    headers['WWW-Authenticate'] = 'Bearer';
  }
  if (error.code === 'unsupported_encoding') {
    headers['Accept-Encoding'] = 'gzip, deflate';
  }
  return {
    status,
    code: error.code,
    message: status === 500 ? neutralMessage(error) : error.message,
    headers,
  };
}

function neutralMessage(error: EdgewiseError): string {
  switch (error.code) {
    case 'digest_mismatch':
      return 'the stored model failed its integrity check and was not used';
    case 'signature_invalid':
      return "the model's signature is not valid and it was not used";
    default:
      return 'the server failed to answer this request';
  }
}

/** The Open Inference Protocol's error body: exactly `{"error": message}`. */
export function oipErrorResponse(thrown: unknown): Response {
  const { status, message, headers } = toHttpError(thrown);
  return Response.json({ error: message }, { status, headers });
}
