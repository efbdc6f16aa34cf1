import type { MiddlewareHandler } from 'hono';

/** The phase of a server, which readiness reports to pools and load balancers. An isolate of a worker is always `serving`. */
export interface Lifecycle {
  /** `starting`: answers, but is not ready. `draining`: answers what still arrives, but is no longer ready. */
  phase: 'starting' | 'serving' | 'draining';
}

/** Makes each answer of a draining server the last one on its connection (RFC 9112, 9.6). */
export function endConnections(lifecycle: Lifecycle): MiddlewareHandler {
  return async (c, next) => {
    await next();
    if (lifecycle.phase === 'draining') c.res.headers.set('Connection', 'close');
  };
}
