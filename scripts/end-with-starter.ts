/**
 * Ends a server's process group when the process that started the server has gone without stopping it. process-group.ts
 * loads this file into each server before the server's own code.
 */
import { isMainThread } from 'node:worker_threads';
import { ignoreClosedOutput, watchParent } from '../src/platform/parent-process.ts';

export const starterVariable = 'EDGEWISE_STARTER';
export const patienceVariable = 'EDGEWISE_STARTER_PATIENCE_MS';

const starter = process.env[starterVariable];
const patienceMs = Number(process.env[patienceVariable]);
// Processes that the server starts belong to its group and must not watch the same starter.
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
