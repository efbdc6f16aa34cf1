/** Detects that a server no longer answers although its processes run. */
import { setTimeout as sleep } from 'node:timers/promises';

const everyMs = 2000;
const answerWithinMs = 5000;
/** More than wrangler needs to restart a worker that has ended. */
const failuresInARow = 6;

/**
 * Resolves with the reason once connections to `url` have failed several times in a row. A slow answer does not count,
 * because a run blocks the worker's thread.
 */
export async function waitUntilUnreachable(url: string): Promise<string> {
  for (let failures = 0, why = ''; ; ) {
    if (failures === failuresInARow) return why;
    await sleep(everyMs, undefined, { ref: false });
    try {
      const answer = await fetch(`${url}/v2/health/live`, { signal: AbortSignal.timeout(answerWithinMs) });
      await answer.body?.cancel();
      failures = 0;
    } catch (error) {
      if (error instanceof DOMException && error.name === 'TimeoutError') failures = 0;
      else {
        failures += 1;
        why = findReason(error);
      }
    }
  }
}

/** Returns the cause behind fetch's "fetch failed". */
function findReason(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message : String(cause);
}
