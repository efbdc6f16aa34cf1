/** Load reports: with each answer, an origin tells the pool that sent the request how busy it is. */
import type { MiddlewareHandler } from 'hono';
import {
  formatLoadReport,
  type LoadReport,
  loadReportFormatHeader,
  loadReportHeader,
  parseLoadReportFormat,
} from '../protocol/load-report.ts';
import type { AppEnv } from './context.ts';
import type { Services } from './services.ts';

/** Adds the load report to answers and refusals of inference. Other routes have no load to report. */
export function reportLoad(services: LoadSources): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    await next();
    if (!c.req.path.endsWith('/infer')) return;
    const format = parseLoadReportFormat(c.req.header(loadReportFormatHeader));
    c.res.headers.set(loadReportHeader, formatLoadReport(loadFigures(services), format));
  };
}

type LoadSources = Pick<Services, 'admission' | 'batcher' | 'lifecycle' | 'pool'>;

/** Reads the load after the answered request has released its permit. */
function loadFigures({ admission, batcher, lifecycle, pool }: LoadSources): LoadReport {
  const { inFlight, utilisation } = admission;
  const queued = batcher?.snapshot().models.reduce((sum, model) => sum + model.queued, 0) ?? 0;
  // A server that drains, or whose engine is not available, takes no requests, so it reports full load.
  const isFull = lifecycle?.phase === 'draining' || !pool.isAvailable();
  return {
    utilisation: isFull ? Math.max(1, utilisation) : utilisation,
    inFlight,
    queued,
  };
}
