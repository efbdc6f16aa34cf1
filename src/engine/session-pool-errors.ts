/** What callers of a session pool hear. */
import { EdgewiseError, type ErrorCode, toEdgewiseError } from '../errors.ts';
import type { SessionLostError } from './session-lost.ts';
import type { RunOptions } from './types.ts';

export function codeOf(error: unknown): ErrorCode {
  return toEdgewiseError(error).code;
}

/** A model that the engine refuses is not the fault of whoever asks for it. */
export function loadError(thrown: unknown): unknown {
  return codeOf(thrown) === 'invalid_request'
    ? new EdgewiseError('model_not_ready', 'the model could not be loaded', {
        cause: thrown,
        retryAfterSeconds: 30,
      })
    : thrown;
}

export function cancelled(options: RunOptions): EdgewiseError {
  return new EdgewiseError('deadline_exceeded', 'the caller left before its run began', {
    cause: options.signal?.reason,
  });
}

export function late(deadlineMs: number): EdgewiseError {
  return new EdgewiseError(
    'deadline_exceeded',
    `the run did not begin within the ${deadlineMs} ms that it had`,
  );
}

/** What the request, or the load, that stopped the engine hears. */
export function stopped(cause: SessionLostError): EdgewiseError {
  return cause.isOverdue
    ? new EdgewiseError('deadline_exceeded', 'the run took longer than it may and was ended', { cause })
    : new EdgewiseError('internal', 'the engine failed', { cause });
}

export function restarting(): EdgewiseError {
  return new EdgewiseError('model_not_ready', 'the engine ended again and again, and is about to start', {
    retryAfterSeconds: 2,
  });
}

export function slowLoad(): EdgewiseError {
  return new EdgewiseError('model_not_ready', 'the model is still being loaded', { retryAfterSeconds: 2 });
}

export function busy(): EdgewiseError {
  return new EdgewiseError('overloaded', 'the model is busy: the wait for it was too long', {
    retryAfterSeconds: 1,
  });
}
