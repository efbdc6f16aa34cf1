/** A worker with a real origin as its pool: the origin reads its models from the worker and answers on the CPU. */
import { type DevServer, ensureLocalAdminKey, findFreePort } from '../../scripts/dev-server.ts';
import { generateCallerKey, type OriginServer, startOrigin } from '../../scripts/origin-server.ts';
import { startService } from './dev-service.ts';

export interface WorkerWithOriginOptions {
  /** Folder in which the origin caches models. */
  readonly cacheDirectory: string;
  /** Variables of the worker. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Called with the worker's output. */
  readonly onOutput?: (text: string) => void;
}

/** Limits so large that run times measured at publish time on a busy machine do not decide the placement. */
export const anyEdgeTime = { EDGEWISE_EDGE_BUDGET_MS: '60000', EDGEWISE_EDGE_WAIT_MS: '60000' };

export async function startWorkerWithOrigin({
  cacheDirectory,
  vars,
  onOutput,
}: WorkerWithOriginOptions): Promise<{ worker: DevServer; origin: OriginServer }> {
  const port = await findFreePort();
  const key = generateCallerKey();
  const origin = await startOrigin({
    key,
    upstream: { url: `http://127.0.0.1:${port}`, adminKey: ensureLocalAdminKey() },
    cacheDirectory,
    vars: { EDGEWISE_EXECUTION_PROVIDERS: 'cpu' },
  });
  const pool = [{ name: 'origin', url: origin.url, auth: { bearerSecret: 'EDGEWISE_TEST_ORIGIN_KEY' } }];
  const worker = await startService({
    port,
    vars: { ...vars, EDGEWISE_ORIGIN_POOL: JSON.stringify(pool) },
    secrets: { EDGEWISE_TEST_ORIGIN_KEY: key },
    ...(onOutput === undefined ? undefined : { onOutput }),
  });
  return { worker, origin };
}
