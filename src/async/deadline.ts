import type { Clock } from './clock.ts';

export interface WaitLimit {
  readonly clock: Clock;
  readonly ms: number;
  readonly signal?: AbortSignal | undefined;
}

export type WaitOutcome = 'settled' | 'expired' | 'aborted';

/**
 * Waits until `promise` settles or the limit is reached. The caller reads the value or reason from the promise itself; a
 * rejection is never reported as unhandled.
 *
 * The timer is more than a limit: workerd cancels a request as hung if everything it waits for is done by other requests,
 * and a timer of its own keeps it alive.
 */
export function settledWithin(promise: Promise<unknown>, limit: WaitLimit): Promise<WaitOutcome> {
  const { clock, ms, signal } = limit;
  return new Promise((resolve) => {
    const finish = (outcome: WaitOutcome) => {
      cancelTimer();
      signal?.removeEventListener('abort', abort);
      resolve(outcome);
    };
    const abort = () => finish('aborted');
    const settle = () => finish('settled');
    const cancelTimer = clock.after(Math.max(0, ms), () => finish('expired'));
    promise.then(settle, settle);
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort);
  });
}
