/**
 * A thread of the engine's process that kills the process when its parent is gone. The engine's own thread cannot watch
 * the parent, since it may be in a run that never ends.
 */
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** A pipe that is never written to: a read returns when the parent's end is closed. */
const life = 4;

parentPort?.postMessage('watching');
// The message must be sent before the thread blocks.
setImmediate(() => {
  for (;;) {
    try {
      if (readSync(life, new Uint8Array(1)) === 0) break;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) break;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)), 0, 0, 100);
    }
  }
  process.kill(process.pid, 'SIGKILL');
});
