/** Messages between `push-process.ts` and its child process. */
import { EdgewiseError, type ErrorCode, toEdgewiseError } from '../../errors.ts';
import type { PushOptions, PushResult } from './push.ts';
import type { PushProgress } from './push-progress.ts';

/** The members of `PushOptions` that can be sent to another process. */
export type SentPushOptions = Omit<PushOptions, 'fetch' | 'clock' | 'engines' | 'onProgress'>;

export interface PushOrder {
  readonly folder: string;
  readonly options: SentPushOptions;
}

export interface SentFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterSeconds?: number | undefined;
  /** The stack of an error that is not an EdgewiseError. */
  readonly cause?: string | undefined;
}

export type PushMessage =
  | { readonly kind: 'ready' }
  /** A run or a load has ended. */
  | { readonly kind: 'alive' }
  | { readonly kind: 'progress'; readonly progress: PushProgress }
  | { readonly kind: 'result'; readonly result: PushResult }
  | { readonly kind: 'failure'; readonly failure: SentFailure };

export function encodeFailure(error: unknown): SentFailure {
  const { cause, code, message, retryAfterSeconds } = toEdgewiseError(
    error,
    error instanceof Error ? error.message : String(error),
  );
  return { code, message, retryAfterSeconds, cause: cause instanceof Error ? cause.stack : undefined };
}

export function decodeFailure({ cause, code, message, retryAfterSeconds }: SentFailure): EdgewiseError {
  return new EdgewiseError(code, message, {
    cause,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  });
}
