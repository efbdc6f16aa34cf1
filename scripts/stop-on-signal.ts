/** Ends `npm start` on a signal of a terminal, npm or supervisor, and when npm itself has ended. */
import { sameSignalMs } from '../src/platform/node-drain.ts';
import { ignoreClosedOutput, isPackageScript, watchParent } from '../src/platform/parent-process.ts';

/**
 * Calls `stop` on SIGINT, SIGTERM or the end of the npm that runs this process, and exits with 0 when `stop` resolves. A
 * later signal exits at once, with 1. Process groups end with this process (process-group.ts).
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
