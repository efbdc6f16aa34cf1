import type { ErrorCode } from '../../src/errors.ts';
import { AttemptError, type AttemptOutcome } from '../../src/routing/types.ts';

export interface Failed {
  readonly outcome: AttemptOutcome;
  readonly code: ErrorCode;
  /** What goes to the log. */
  readonly reason: string;
}

/** How an attempt failed; any other end is an error of the test. */
export async function failed(attempt: Promise<unknown>): Promise<Failed> {
  const error: unknown = await attempt.then(
    (value) => new Error('wanted an AttemptError, there is an answer', { cause: value }),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AttemptError)) throw error;
  const { cause, code } = error.error;
  return { outcome: error.outcome, code, reason: cause instanceof Error ? cause.message : String(cause) };
}
