/** Errors of the session pool, as its callers see them. */
import { EdgewiseError, type ErrorCode, toEdgewiseError } from '../errors.ts';
import type { SessionLostError } from './session-lost.ts';

export function codeOf(error: unknown): ErrorCode {
  return toEdgewiseError(error).code;
}

/** Returns what a failed load is reported as: a model that the engine rejects is not the caller's fault. */
export function toCallerError(thrown: unknown): unknown {
  return codeOf(thrown) === 'invalid_request'
    ? new EdgewiseError('model_not_ready', 'the model could not be loaded', {
        cause: thrown,
        retryAfterSeconds: 30,
      })
    : thrown;
}

/** The error of the request, or the load, that stopped the engine. */
export function engineStoppedError(cause: SessionLostError): EdgewiseError {
  return cause.isOverdue
    ? new EdgewiseError('deadline_exceeded', 'the run exceeded the longest time allowed and was ended', {
        cause,
      })
    : new EdgewiseError('internal', 'the engine failed', { cause });
}

/** The error of a request whose engine other requests stopped `maxSessionLosses` times. */
export function engineRestartingError(): EdgewiseError {
  return new EdgewiseError('model_not_ready', 'the engine stopped several times and is restarting', {
    retryAfterSeconds: 2,
  });
}

export function slowLoadError(): EdgewiseError {
  return new EdgewiseError('model_not_ready', 'the model is still being loaded', { retryAfterSeconds: 2 });
}

export function modelBusyError(): EdgewiseError {
  return new EdgewiseError('overloaded', 'the model is busy: this request waited too long for its turn', {
    retryAfterSeconds: 1,
  });
}
