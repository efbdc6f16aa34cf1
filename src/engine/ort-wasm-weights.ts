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
  /** Why a read failed: more telling than what the runtime makes of it. */
  error(): EdgewiseError | undefined;
  /** Rejects when the create was passed over and will never go on. */
  readonly lost: Promise<never>;
}

/**
 * Answers the runtime's requests for weights: each piece goes from the source into the heap as it comes, so none of them
 * is ever held in JavaScript longer than that.
 */
export function createWeightsLoader(
  runtime: OrtRuntime,
  weights: WeightSource | undefined,
  limits: LoadLimits,
): WeightsLoad {
  const { promise: lost, reject: lose } = Promise.withResolvers<never>();
  // Nobody need be waiting for it.
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
      if (limits.lease.lost) {
        // Another create has the stack now: to go on would write over it.
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
      if (lease.lost || done === true) {
        break;
      }
      lease.touch();
      if (copied + value.byteLength > length) {
        throw new EdgewiseError('internal', `a read of ${length} bytes of weights gave more`);
      }
      // The heap may have grown, and moved, since the last piece.
      runtime.heap.u8.set(value, target + copied);
      copied += value.byteLength;
    }
  } catch (error) {
    // Not awaited: a source that hangs would hang here too.
    pieces.return?.().catch(() => {});
    throw error;
  }
  if (!lease.lost && copied !== length) {
    throw new EdgewiseError('internal', `a read of ${length} bytes of weights gave ${copied}`);
  }
}

function withinLimit<T>(promise: Promise<T>, clock: Clock, limitMs: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const cancel = clock.after(limitMs, () =>
    reject(new EdgewiseError('model_not_ready', `weights did not arrive within ${limitMs} ms`)),
  );
  return Promise.race([promise, late]).finally(cancel);
}
