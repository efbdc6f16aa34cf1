/**
 * A thread of the engine's process that ends the process when the one that started it is gone. The engine's own thread may
 * be in a run that never ends, and would find out never.
 */
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** Nothing is ever written to it: a read returns when the other end is closed. */
const life = 4;

parentPort?.postMessage('watching');
// The message is on its way; the thread can block now.
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
