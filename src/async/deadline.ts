import type { Clock } from './clock.ts';

export interface WaitLimit {
  readonly clock: Clock;
  readonly ms: number;
  readonly signal?: AbortSignal | undefined;
}

export type WaitOutcome = 'settled' | 'expired' | 'aborted';

/**
 * Waits for `promise` to settle, either way, but no longer than the limit. Its value or reason is the caller's to ask
 * of the promise itself; a rejection that nobody asks for is not reported as unhandled.
 *
 * The timer is not only a limit: workerd cancels a request as hung when all that it waits for is the doing of another
 * request, and a timer of its own keeps it alive.
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
    const settled = () => finish('settled');
    const cancelTimer = clock.after(Math.max(0, ms), () => finish('expired'));
    promise.then(settled, settled);
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort);
  });
}
