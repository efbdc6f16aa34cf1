import type { Clock } from '../async/clock.ts';
import { Capabilities } from '../routing/capabilities.ts';
import { EndpointPool } from '../routing/endpoint-pool.ts';
import { OriginPool } from '../routing/origin-pool.ts';
import type { PoolHealth } from '../routing/pool-snapshot.ts';
import type { Endpoint } from '../routing/types.ts';
import type { Defer } from '../storage/types.ts';
import type { Log } from '../telemetry/log.ts';

export interface OriginPoolParts {
  readonly endpoints: readonly Endpoint[];
  readonly hedging: boolean;
  readonly clock: Clock;
  readonly defer: Defer;
  readonly log: Log;
  /** What the last probes found. Never rejects. */
  readonly readHealth?: (() => Promise<PoolHealth | undefined>) | undefined;
}

/** The pool over `endpoints`; undefined where there are none. */
export function createOriginPool(parts: OriginPoolParts): OriginPool | undefined {
  const { endpoints, hedging, clock, defer, log, readHealth } = parts;
  if (endpoints.length === 0) return undefined;
  return new OriginPool({
    pool: new EndpointPool({
      endpoints,
      clock,
      hedging,
      onChange: ({ endpoint, state, reason }) =>
        log.write({
          level: state === 'healthy' ? 'info' : 'error',
          event: `endpoint_${state}`,
          endpoint,
          cause: reason === undefined ? undefined : new Error(reason),
        }),
    }),
    capabilities: new Capabilities({ clock, defer }),
    clock,
    defer,
    readHealth,
  });
}
