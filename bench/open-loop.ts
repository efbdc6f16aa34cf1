/**
 * Generates load that does not wait for answers: requests are due at random times of a given rate (a Poisson process).
 * Latency counts from the moment a request was due, so it includes the delay behind a stall, and up to a millisecond of
 * this process's timer.
 */
import { type Answer, Connection } from './load.ts';

export interface OpenLoopOptions {
  readonly requestsPerSecond: number;
  /** Ends the load; requests in flight are still awaited. */
  readonly until: AbortSignal;
  /** A request without an answer this long after the end counts as failed. */
  readonly patienceMs: number;
}

export interface Sample {
  /** Time at which the request was due, by `performance.now`. */
  readonly dueMs: number;
  /** Milliseconds from then to the last byte of the answer, or to the failure. */
  readonly ms: number;
  /** Absent if the connection broke. */
  readonly answer?: Pick<Answer, 'status' | 'headers' | 'body'>;
  readonly failure?: string;
}

/** Older connections are not reused, because the server may close them at that moment. */
const maxIdleMs = 2000;

interface Idle {
  readonly connection: Connection;
  readonly sinceMs: number;
}

/** Runs the load and returns a sample for each request. Never rejects: failures are samples, too. */
export async function openLoop(url: URL, request: Buffer, options: OpenLoopOptions): Promise<Sample[]> {
  const { requestsPerSecond, until, patienceMs } = options;
  const samples: Sample[] = [];
  const idle: Idle[] = [];
  const pending = new Set<number>();
  const under = new Set<Promise<void>>();
  const send = async (dueMs: number) => {
    pending.add(dueMs);
    const outcome = await sendOnce(url, request, idle);
    if (pending.delete(dueMs)) samples.push({ dueMs, ms: performance.now() - dueMs, ...outcome });
  };
  for (let dueMs = performance.now(); !until.aborted; ) {
    dueMs += (-Math.log(1 - Math.random()) * 1000) / requestsPerSecond;
    const waitMs = Math.ceil(dueMs - performance.now());
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const sent = send(dueMs).finally(() => under.delete(sent));
    under.add(sent);
  }
  await Promise.race([Promise.all(under), new Promise((resolve) => setTimeout(resolve, patienceMs).unref())]);
  for (const dueMs of pending) {
    samples.push({ dueMs, ms: performance.now() - dueMs, failure: `no answer in ${patienceMs} ms` });
  }
  pending.clear();
  for (const { connection } of idle) connection.close();
  return samples.toSorted((one, other) => one.dueMs - other.dueMs);
}

async function sendOnce(
  url: URL,
  request: Buffer,
  idle: Idle[],
): Promise<Pick<Sample, 'answer' | 'failure'>> {
  try {
    const connection = takeUsable(idle) ?? (await Connection.open(url));
    const answer = await connection.send(request);
    idle.push({ connection, sinceMs: performance.now() });
    return { answer };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

/** Takes the most recently used connection that is still usable. */
function takeUsable(idle: Idle[]): Connection | undefined {
  for (let last = idle.pop(); last !== undefined; last = idle.pop()) {
    if (!last.connection.isEnded && performance.now() - last.sinceMs < maxIdleMs) return last.connection;
    last.connection.close();
  }
  return undefined;
}
