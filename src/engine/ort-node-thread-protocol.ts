/** What `ort-node-thread.ts` and its thread say to each other. All of it can be cloned, as `postMessage` wants. */
import { EdgewiseError, type ErrorCode, isEdgewiseError } from '../errors.ts';
import type { TensorSpec } from '../tensor/tensor.ts';
import type { OrtNodeOptions } from './ort-node.ts';
import type { ThreadState } from './ort-node-thread-state.ts';
import type { Feeds, Fetches } from './types.ts';
import type { WholeModel } from './weights.ts';

export interface ThreadData {
  readonly options: Omit<OrtNodeOptions, 'onProviderSkipped'>;
  readonly state: ThreadState;
}

/** What the thread can be asked, by the name of the operation. Sessions have numbers, given by who asks. */
export interface Operations {
  readonly providers: { readonly asks: undefined; readonly answers: readonly string[] };
  readonly create: {
    readonly asks: { readonly session: number; readonly model: WholeModel };
    readonly answers: { readonly inputs: readonly TensorSpec[]; readonly outputs: readonly TensorSpec[] };
  };
  readonly run: {
    readonly asks: {
      readonly session: number;
      readonly feeds: Feeds;
      readonly fetches: readonly string[] | undefined;
    };
    readonly answers: Fetches;
  };
  readonly release: { readonly asks: { readonly session: number }; readonly answers: undefined };
}

export type Operation = keyof Operations;

export type ThreadRequest = {
  readonly [O in Operation]: {
    readonly id: number;
    readonly operation: O;
    readonly asks: Operations[O]['asks'];
  };
}[Operation];

export type ThreadAnswer = Operations[Operation]['answers'];

/** One `answer` or `failure` for each request, in the order of the requests; `usedBytes` as the engine's memory is now. */
export type ThreadReply =
  | {
      readonly kind: 'answer';
      readonly id: number;
      readonly usedBytes: number;
      readonly answer: ThreadAnswer;
    }
  | { readonly kind: 'failure'; readonly id: number; readonly usedBytes: number; readonly error: SentError }
  | { readonly kind: 'skipped'; readonly provider: string; readonly reason: SentError };

/** An error field by field: a clone of one keeps neither its class nor what the class adds. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  /** Of an EdgewiseError. */
  readonly code: ErrorCode | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly cause: SentError | undefined;
}

/** Longer chains of causes are cut: nobody reads them, and one may run in a circle. */
const maxCauses = 8;

export function sentError(error: unknown, causes: number = maxCauses): SentError {
  const { name, message, cause } = error instanceof Error ? error : new Error(String(error));
  const edgewise = isEdgewiseError(error) ? error : undefined;
  return {
    name,
    message,
    code: edgewise?.code,
    retryAfterSeconds: edgewise?.retryAfterSeconds,
    cause: cause === undefined || causes === 0 ? undefined : sentError(cause, causes - 1),
  };
}

export function receivedError({ name, message, code, retryAfterSeconds, cause }: SentError): Error {
  const options = cause === undefined ? {} : { cause: receivedError(cause) };
  if (code !== undefined) {
    return new EdgewiseError(
      code,
      message,
      retryAfterSeconds === undefined ? options : { ...options, retryAfterSeconds },
    );
  }
  const error = new Error(message, options);
  error.name = name;
  return error;
}
