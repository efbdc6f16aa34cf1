import type { Clock } from '../async/clock.ts';
import { Capabilities } from '../routing/capabilities.ts';
import { EndpointPool } from '../routing/endpoint-pool.ts';
import { OriginPool } from '../routing/origin-pool.ts';
import type { PoolHealth } from '../routing/pool-health.ts';
import { probeReadiness } from '../routing/probe.ts';
import type { Endpoint } from '../routing/types.ts';
import type { Defer } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface OriginPoolParts {
  readonly endpoints: readonly Endpoint[];
  readonly hedging: boolean;
  readonly clock: Clock;
  readonly defer: Defer;
  readonly logger: Logger;
  /** Reads the stored probe results. Never rejects. */
  readonly readHealth?: (() => Promise<PoolHealth | undefined>) | undefined;
}

/** Timeout of a readiness probe: a healthy endpoint answers at once. */
const probeTimeoutMs = 5000;

const modelEvents = {
  healthy: 'endpoint_model_let_in',
  suspect: 'endpoint_model_kept_out',
  ejected: 'endpoint_model_kept_out',
} as const;

/** Creates the pool over `endpoints`; undefined if there are none. */
export function createOriginPool(parts: OriginPoolParts): OriginPool | undefined {
  const { endpoints, hedging, clock, defer, logger, readHealth } = parts;
  if (endpoints.length === 0) return undefined;
  const pool = new EndpointPool({
    endpoints,
    clock,
    hedging,
    onChange: ({ endpoint, model, state, reason }) =>
      logger.write({
        level: state === 'healthy' ? 'info' : 'error',
        event: model === undefined ? `endpoint_${state}` : modelEvents[state],
        endpoint,
        model,
        cause: new Error(reason),
      }),
    probe: (endpoint) =>
      defer(
        probeReadiness(endpoint, { clock, timeoutMs: probeTimeoutMs }).then((result) =>
          pool.applyProbe(endpoint, result),
        ),
      ),
  });
  return new OriginPool({
    pool,
    capabilities: new Capabilities({ clock, defer }),
    clock,
    defer,
    readHealth,
  });
}
