/** Finds out that a server is gone whose processes are there. */
import { setTimeout as sleep } from 'node:timers/promises';

const everyMs = 2000;
const answerWithinMs = 5000;
/** More than it takes wrangler to start a worker again that has ended. */
const failuresInARow = 6;

/**
 * Resolves with the reason once connections to `url` have failed several times in a row. A server that is slow to answer
 * is none of that: a run holds the worker's thread.
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
        why = reasonOf(error);
      }
    }
  }
}

/** What fetch gives as the cause of "fetch failed". */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message : String(cause);
}
