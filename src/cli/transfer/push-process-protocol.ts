/** What `push-process.ts` and the process that it starts say to one another. */
import { EdgewiseError, type ErrorCode, toEdgewiseError } from '../../errors.ts';
import type { PushOptions, PushProgress, PushResult } from './push.ts';

/** What of `PushOptions` can be sent. */
export type SentPushOptions = Omit<PushOptions, 'fetch' | 'clock' | 'engines' | 'onProgress'>;

export interface PushOrder {
  readonly folder: string;
  readonly options: SentPushOptions;
}

export interface SentFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterSeconds?: number | undefined;
  /** Of what is no error of ours. */
  readonly cause?: string | undefined;
}

export type PushMessage =
  | { readonly kind: 'ready' }
  /** Something has ended: a run, a load. */
  | { readonly kind: 'alive' }
  | { readonly kind: 'progress'; readonly progress: PushProgress }
  | { readonly kind: 'result'; readonly result: PushResult }
  | { readonly kind: 'failure'; readonly failure: SentFailure };

export function sentFailure(error: unknown): SentFailure {
  const { cause, code, message, retryAfterSeconds } = toEdgewiseError(
    error,
    error instanceof Error ? error.message : String(error),
  );
  return { code, message, retryAfterSeconds, cause: cause instanceof Error ? cause.stack : undefined };
}

export function receivedFailure({ cause, code, message, retryAfterSeconds }: SentFailure): EdgewiseError {
  return new EdgewiseError(code, message, {
    cause,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  });
}
