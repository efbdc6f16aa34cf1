/** How an origin ends: it says that it is not ready, answers what is under way and what still comes, and goes. */
import type { Lifecycle } from '../http/lifecycle.ts';
import type { Log } from '../telemetry/log.ts';

export interface DrainOptions {
  readonly lifecycle: Lifecycle;
  readonly server: { close(): Promise<void> };
  /** Time in which new requests are answered as before. */
  readonly drainGraceMs: number;
  /** Time after which it goes whatever is under way. */
  readonly drainTimeoutMs: number;
  readonly log: Log;
}

/**
 * From SIGTERM or SIGINT on. The process ends with 0 once all is answered; at once, with 1, at a second signal or when
 * the time is over.
 */
export function drainOnSignal({ lifecycle, server, drainGraceMs, drainTimeoutMs, log }: DrainOptions): void {
  const cutOff = (event: string) => {
    log.write({ level: 'error', event });
    process.exit(1);
  };
  const drain = () => {
    lifecycle.phase = 'draining';
    log.write({ level: 'info', event: 'draining' });
    setTimeout(() => cutOff('drain_timeout'), drainTimeoutMs);
    setTimeout(() => void server.close().then(() => process.exit(0)), drainGraceMs);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => (lifecycle.phase === 'draining' ? cutOff('drain_cut_off') : drain()));
  }
}
