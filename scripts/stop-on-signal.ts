/** How `npm start` ends when it is told to, whoever tells: a terminal, npm, a supervisor, or its end. */
import { sameSignalMs } from '../src/platform/node-drain.ts';
import { ignoreClosedOutput, isPackageScript, watchParent } from '../src/platform/parent-process.ts';

/**
 * Calls `stop` at SIGINT, SIGTERM or the end of the npm that runs this process, and ends with 0 when it has resolved; at
 * once, with 1, at a later signal. Processes in groups of their own end with this one (process-group.ts).
 */
export function stopOnSignal(stop: () => Promise<void>): void {
  let beganMs: number | undefined;
  const onSignal = () => {
    if (beganMs === undefined) {
      beganMs = performance.now();
      void stop().then(
        () => process.exit(0),
        () => process.exit(1),
      );
    } else if (performance.now() - beganMs >= sameSignalMs) process.exit(1);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  ignoreClosedOutput();
  if (isPackageScript()) watchParent(onSignal);
}
