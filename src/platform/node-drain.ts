/** Shutdown of an origin: it reports that it is not ready, finishes requests in flight and new ones, and exits. */
import type { Lifecycle } from '../http/lifecycle.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ignoreClosedOutput, isPackageScript, watchParent } from './parent-process.ts';

export interface DrainOptions {
  readonly lifecycle: Lifecycle;
  readonly server: { close(): Promise<void> };
  /** Time in which new requests are answered as before. */
  readonly drainGraceMs: number;
  /** Time after which it exits even if requests are in flight. */
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
}

/**
 * Signals that follow the first one within this time count as the same signal: a terminal's Ctrl-C reaches npm and the
 * process that it runs, and npm forwards it too.
 */
export const sameSignalMs = 1000;

/**
 * Drains the server on SIGTERM, on SIGINT, and when the npm that runs this process ends. The process exits with 0 once all
 * requests are answered, and at once with 1 on a later signal or when the time is over.
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
