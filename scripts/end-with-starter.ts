/**
 * Loaded into each server before its own code (process-group.ts): when the process that started the server is gone
 * without having stopped it, the server's whole group ends.
 */
import { isMainThread } from 'node:worker_threads';
import { ignoreClosedOutput, watchParent } from '../src/platform/parent-process.ts';

export const starterVariable = 'EDGEWISE_STARTER';
export const patienceVariable = 'EDGEWISE_STARTER_PATIENCE_MS';

const starter = process.env[starterVariable];
const patienceMs = Number(process.env[patienceVariable]);
// What the server starts in turn has another starter, and belongs to its group.
delete process.env[starterVariable];
delete process.env[patienceVariable];

if (starter !== undefined && isMainThread) {
  ignoreClosedOutput();
  watchParent(() => {
    process.once('exit', () => signalOwnGroup('SIGKILL'));
    setTimeout(() => signalOwnGroup('SIGKILL'), patienceMs);
    signalOwnGroup('SIGTERM');
  }, Number(starter));
}

function signalOwnGroup(signal: NodeJS.Signals): void {
  process.kill(-process.pid, signal);
}
