import type { Clock } from '../async/clock.ts';
import { EdgewiseError, toEdgewiseError } from '../errors.ts';
import type { CreateLease } from './ort-wasm-create-lane.ts';
import { externalDataResult } from './ort-wasm-module.ts';
import type { LoadExternalData, OrtRuntime } from './ort-wasm-runtime.ts';
import type { WeightSource } from './types.ts';

interface LoadLimits {
  readonly lease: CreateLease;
  readonly clock: Clock;
  readonly readTimeoutMs: number;
}

export interface WeightsLoad {
  readonly read: LoadExternalData;
  /** Returns why a read failed, which says more than the runtime's own error. */
  error(): EdgewiseError | undefined;
  /** Rejects if the create lost the lane and never resumes. */
  readonly lost: Promise<never>;
}

/**
 * Serves the runtime's reads of weights. Each piece goes from the source into the heap as it arrives and is held in
 * JavaScript no longer than that.
 */
export function createWeightsLoader(
  runtime: OrtRuntime,
  weights: WeightSource | undefined,
  limits: LoadLimits,
): WeightsLoad {
  const { promise: lost, reject: lose } = Promise.withResolvers<never>();
  // Prevents an unhandled rejection if the create does not wait for it.
  lost.catch(() => {});
  let error: EdgewiseError | undefined;
  return {
    lost,
    error: () => error,
    async read(path, offset, length, target) {
      if (weights === undefined || path !== weights.path) {
        return externalDataResult.unknownFile;
      }
      if (offset < 0 || length < 0 || offset + length > weights.byteLength) {
        return externalDataResult.outOfRange;
      }
      runtime.vacate();
      try {
        await copyRange(runtime, weights, { offset, length, target }, limits);
      } catch (cause) {
        error = toEdgewiseError(cause, 'the weights could not be read');
      }
      if (limits.lease.isLost) {
        // Another create has the stack now; resuming would overwrite it.
        lose(new EdgewiseError('model_not_ready', 'the weights took too long to arrive'));
        return new Promise<never>(() => {});
      }
      runtime.occupy();
      return error === undefined ? externalDataResult.done : externalDataResult.failed;
    },
  };
}

interface HeapRange {
  readonly offset: number;
  readonly length: number;
  readonly target: number;
}

async function copyRange(
  runtime: OrtRuntime,
  weights: WeightSource,
  { offset, length, target }: HeapRange,
  { lease, clock, readTimeoutMs }: LoadLimits,
): Promise<void> {
  let copied = 0;
  const pieces = weights.read(offset, offset + length)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await withinLimit(pieces.next(), clock, readTimeoutMs);
      if (lease.isLost || done === true) {
        break;
      }
      lease.touch();
      if (copied + value.byteLength > length) {
        throw new EdgewiseError('internal', `a read of ${length} bytes of weights returned more bytes`);
      }
      // Get the view again: the heap may have grown since the last piece.
      runtime.heap.u8.set(value, target + copied);
      copied += value.byteLength;
    }
  } catch (error) {
    // Not awaited: a source that hangs would also hang here.
    pieces.return?.().catch(() => {});
    throw error;
  }
  if (!lease.isLost && copied !== length) {
    throw new EdgewiseError('internal', `a read of ${length} bytes of weights returned ${copied}`);
  }
}

function withinLimit<T>(promise: Promise<T>, clock: Clock, limitMs: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const cancel = clock.after(limitMs, () =>
    reject(new EdgewiseError('model_not_ready', `weights did not arrive within ${limitMs} ms`)),
  );
  return Promise.race([promise, late]).finally(cancel);
}
