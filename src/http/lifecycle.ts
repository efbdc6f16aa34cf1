import type { MiddlewareHandler } from 'hono';

/** Where a server is in its life, as pools and load balancers are told. An isolate of a worker is always `serving`. */
export interface Lifecycle {
  /** `starting`: it answers, and is not ready yet. `draining`: it answers what still comes, and asks all to go elsewhere. */
  phase: 'starting' | 'serving' | 'draining';
}

/** An answer of a draining server is the last one on its connection (RFC 9112, 9.6). */
export function endConnections(lifecycle: Lifecycle): MiddlewareHandler {
  return async (c, next) => {
    await next();
    if (lifecycle.phase === 'draining') c.res.headers.set('Connection', 'close');
  };
}
