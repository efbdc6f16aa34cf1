/** How an origin ends: it says that it is not ready, answers what is under way and what still comes, and goes. */
import type { Lifecycle } from '../http/lifecycle.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ignoreClosedOutput, isPackageScript, watchParent } from './parent-process.ts';

export interface DrainOptions {
  readonly lifecycle: Lifecycle;
  readonly server: { close(): Promise<void> };
  /** Time in which new requests are answered as before. */
  readonly drainGraceMs: number;
  /** Time after which it goes whatever is under way. */
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
}

/**
 * Signals that come this soon after the first one are the first one: a terminal's Ctrl-C reaches npm and the process that
 * it runs, and npm sends it on.
 */
export const sameSignalMs = 1000;

/**
 * From SIGTERM or SIGINT on, and from the end of the npm that runs this process. The process ends with 0 once all is
 * answered; at once, with 1, at a later signal or when the time is over.
 */
export function drainOnSignal({
  lifecycle,
  server,
  drainGraceMs,
  drainTimeoutMs,
  logger,
}: DrainOptions): void {
  let beganMs = 0;
  const cutOff = (event: string) => {
    logger.write({ level: 'error', event });
    process.exit(1);
  };
  const drain = () => {
    beganMs = performance.now();
    lifecycle.phase = 'draining';
    logger.write({ level: 'info', event: 'draining' });
    setTimeout(() => cutOff('drain_timeout'), drainTimeoutMs);
    setTimeout(() => void server.close().then(() => process.exit(0)), drainGraceMs);
  };
  const onSignal = () => {
    if (lifecycle.phase !== 'draining') drain();
    else if (performance.now() - beganMs >= sameSignalMs) cutOff('drain_cut_off');
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onSignal);
  ignoreClosedOutput();
  if (isPackageScript()) watchParent(onSignal);
}
