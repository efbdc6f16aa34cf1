/** The engine's thread, which ends when it is to run with an input whose first element is 666, or at once where it is told to. */
import { parentPort } from 'node:worker_threads';
import type { ThreadRequest } from '../../src/engine/ort-node-thread-protocol.ts';

parentPort?.on('message', ({ operation, asks }: ThreadRequest) => {
  if (operation === 'providers') throw new Error('this thread dies when it is asked for providers');
  if (operation === 'run' && asks.feeds.get('x')?.data[0] === 666) process.exit(3);
});
await import('../../src/engine/ort-node-thread-main.ts');
