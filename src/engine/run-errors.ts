/** Errors of a run that never began, as its caller sees them. Shared by the session pool and the batcher. */
import { EdgewiseError } from '../errors.ts';

export function callerLeftError(signal: AbortSignal | undefined): EdgewiseError {
  return new EdgewiseError('deadline_exceeded', 'the caller left before its run began', {
    cause: signal?.reason,
  });
}

/** @param deadlineMs Time within which the run had to begin, from its request on. */
export function runDeadlineError(deadlineMs: number): EdgewiseError {
  return new EdgewiseError(
    'deadline_exceeded',
    `the run did not begin within its deadline of ${deadlineMs} ms`,
  );
}

export function queueFullError(queued: number): EdgewiseError {
  return new EdgewiseError('overloaded', `${queued} requests already wait for the model; try again later`, {
    retryAfterSeconds: 1,
  });
}
