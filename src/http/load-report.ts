/** An origin tells the pools that send it requests, with each of its answers, how much it has to do. */
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

/** Answers of inferences alone, refusals too: the rest of the routes says nothing of how busy it is. */
export function reportLoad(services: LoadSources): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    await next();
    if (!c.req.path.endsWith('/infer')) return;
    const format = parseLoadReportFormat(c.req.header(loadReportFormatHeader));
    c.res.headers.set(loadReportHeader, formatLoadReport(loadFigures(services), format));
  };
}

type LoadSources = Pick<Services, 'admission' | 'batcher' | 'lifecycle' | 'pool'>;

/** What the answered request took is given back already. */
function loadFigures({ admission, batcher, lifecycle, pool }: LoadSources): LoadReport {
  const { inFlight, utilisation } = admission;
  const queued = batcher?.snapshot().models.reduce((sum, model) => sum + model.queued, 0) ?? 0;
  // A server that drains, or whose engine cannot compute now, is full, whatever it has to do.
  const isFull = lifecycle?.phase === 'draining' || !pool.isAvailable();
  return {
    utilisation: isFull ? Math.max(1, utilisation) : utilisation,
    inFlight,
    queued,
  };
}
