import type { ErrorCode } from '../../src/errors.ts';
import { AttemptError, type AttemptOutcome } from '../../src/routing/types.ts';

export interface Failed {
  readonly outcome: AttemptOutcome;
  readonly code: ErrorCode;
  /** The reason for the log. */
  readonly reason: string;
}

/** Returns the failure of an attempt; throws if the attempt ends in any other way. */
export async function failureOf(attempt: Promise<unknown>): Promise<Failed> {
  const error: unknown = await attempt.then(
    (value) => new Error('expected an AttemptError, got an answer', { cause: value }),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AttemptError)) throw error;
  const { cause, code } = error.error;
  return { outcome: error.outcome, code, reason: cause instanceof Error ? cause.message : String(cause) };
}
