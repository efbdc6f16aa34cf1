/** Observes the worker's pool under load, by its log lines and by polling `GET /admin/pool`. */
import type { BudgetsSnapshot, EndpointSnapshot } from '../../src/routing/endpoint-snapshot.ts';
import { adminKey } from '../workerd.ts';

export interface PoolSample {
  /** Time by `performance.now`. */
  readonly atMs: number;
  readonly endpoints: readonly EndpointSnapshot[];
  readonly budgets: BudgetsSnapshot;
}

/** `endpoint_ejected`, `endpoint_suspect` or `endpoint_healthy`. */
export interface PoolEvent {
  readonly atMs: number;
  readonly event: string;
  readonly endpoint: string;
  readonly cause: string;
}

const intervalMs = 250;
/** Factor by which the limit may move between two samples, as the number of requests changes. */
const limitMoves = 1.05;

export async function readPool(url: URL): Promise<PoolSample> {
  const answer = await fetch(new URL('/admin/pool', url), {
    headers: { Authorization: `Bearer ${adminKey}` },
  });
  if (!answer.ok) throw new Error(`GET /admin/pool answered with ${answer.status}: ${await answer.text()}`);
  const pool = (await answer.json()) as Omit<PoolSample, 'atMs'>;
  return { atMs: performance.now(), ...pool };
}

/** Samples the pool until `until` is aborted. */
export async function watchPool(url: URL, until: AbortSignal): Promise<PoolSample[]> {
  const samples: PoolSample[] = [];
  while (!until.aborted) {
    samples.push(await readPool(url));
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
  return samples;
}

/** Returns undefined for a log line that is not about an endpoint. */
export function parsePoolEvent(line: string): PoolEvent | undefined {
  if (!line.startsWith('{')) return undefined;
  const { event, endpoint, causes } = JSON.parse(line) as {
    readonly event?: string;
    readonly endpoint?: string;
    readonly causes?: readonly string[];
  };
  if (endpoint === undefined || event?.startsWith('endpoint_') !== true) return undefined;
  return { atMs: performance.now(), event, endpoint, cause: causes?.join('; ') ?? '' };
}

export interface Spending {
  /** The most in 10 s. */
  readonly most: number;
  /** The limit at that time. */
  readonly limit: number;
  /** The first sample above every limit of the window before it. */
  readonly exceeded?: { readonly atMs: number; readonly spent: number; readonly allowed: number };
}

export function measureSpending(samples: readonly PoolSample[], what: 'retries' | 'hedges'): Spending {
  const limitOf = ({ budgets }: PoolSample) => (what === 'retries' ? budgets.retryLimit : budgets.hedgeLimit);
  let most = 0;
  let limit = samples[0] === undefined ? 0 : limitOf(samples[0]);
  let exceeded: Spending['exceeded'];
  for (const sample of samples) {
    const spent = sample.budgets[what];
    if (spent >= most) {
      most = spent;
      limit = limitOf(sample);
    }
    // One second more, because the pool counts in slots of half a second.
    const sinceMs = sample.atMs - sample.budgets.windowMs - 1000;
    const allowed = samples
      .filter(({ atMs }) => atMs >= sinceMs && atMs <= sample.atMs)
      .reduce((highest, one) => Math.max(highest, limitOf(one)), 0);
    if (spent > allowed * limitMoves) exceeded ??= { atMs: sample.atMs, spent, allowed };
  }
  return { most, limit, ...(exceeded === undefined ? {} : { exceeded }) };
}
