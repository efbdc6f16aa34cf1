/**
 * What the thread does, in memory that both sides see, so that a process can end in the middle of a run. Node stops the
 * thread then as soon as the native call returns, and ONNX Runtime's binding, which can no longer make its result, throws
 * into nothing: SIGABRT, whatever the exit code was to be. So the process waits for the call before it ends.
 */
export type ThreadState = Int32Array<SharedArrayBuffer>;

/** Positions, each 0 or 1: whether a request is at work, and whether none may begin any more. */
const busy = 0;
const closed = 1;

export function createThreadState(): ThreadState {
  return new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
}

/** The thread's: whether it may begin a request. */
export function beginRequest(state: ThreadState): boolean {
  Atomics.store(state, busy, 1);
  // Set before the other is read, on both sides: one of the two sees the other's.
  if (Atomics.load(state, closed) === 0) return true;
  endRequest(state);
  return false;
}

/** The thread's. */
export function endRequest(state: ThreadState): void {
  Atomics.store(state, busy, 0);
  Atomics.notify(state, busy);
}

/** Lets nothing begin any more and blocks until what is at work has ended; false where that took longer than `ms`. */
export function closeThread(state: ThreadState, ms: number): boolean {
  Atomics.store(state, closed, 1);
  return Atomics.wait(state, busy, 1, ms) !== 'timed-out';
}
