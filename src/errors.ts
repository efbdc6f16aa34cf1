/**
 * The only error class of Edgewise and its closed list of codes.
 *
 * Independent of HTTP: `http/error-response.ts` maps every code to a status. `message` is written for the caller: what
 * failed, the value, what was expected. Information for the operator only (inner causes, endpoints, engine texts) goes into
 * `cause`, which is logged and never sent.
 */
export const errorCodes = [
  'invalid_request',
  'shape_mismatch',
  'unsupported_datatype',
  'unauthenticated',
  'forbidden',
  'licence_not_accepted',
  'licence_reacceptance_required',
  'grant_expired',
  'grant_missing',
  'grant_revoked',
  'purpose_not_allowed',
  'model_stopped',
  'policy_refused',
  'not_found',
  'model_not_found',
  'version_not_found',
  'method_not_allowed',
  'conflict',
  'too_large',
  'body_timeout',
  'unsupported_encoding',
  'quota_exceeded',
  'overloaded',
  'territory_not_allowed',
  'residency_unavailable',
  'model_not_ready',
  'origin_unavailable',
  'no_capacity',
  'records_unavailable',
  'storage_full',
  'deadline_exceeded',
  'digest_mismatch',
  'signature_invalid',
  'internal',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

export interface ErrorOptions {
  readonly cause?: unknown;
  /** Seconds until the caller may try again; only for retryable codes. */
  readonly retryAfterSeconds?: number;
}

export class EdgewiseError extends Error {
  override readonly name = 'EdgewiseError';
  readonly code: ErrorCode;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

export function isEdgewiseError(value: unknown): value is EdgewiseError {
  return value instanceof EdgewiseError;
}

/** Returns the thrown value if it is an EdgewiseError; otherwise an `internal` error with the value as its cause. */
export function toEdgewiseError(value: unknown, message = 'unexpected failure'): EdgewiseError {
  return isEdgewiseError(value) ? value : new EdgewiseError('internal', message, { cause: value });
}

/** Returns the message of an Error; any other thrown value as text. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
