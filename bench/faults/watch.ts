/** What the worker says of its pool while it is under load: its log lines, and `GET /admin/pool` again and again. */
import type { BudgetsSnapshot, EndpointSnapshot } from '../../src/routing/endpoint-snapshot.ts';
import { adminKey } from '../workerd.ts';

export interface PoolSample {
  /** By `performance.now`. */
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
/** With the requests that come and go, the limit moves by so much between two samples. */
const limitMoves = 1.05;

export async function poolNow(url: URL): Promise<PoolSample> {
  const answer = await fetch(new URL('/admin/pool', url), {
    headers: { Authorization: `Bearer ${adminKey}` },
  });
  if (!answer.ok) throw new Error(`GET /admin/pool answered with ${answer.status}: ${await answer.text()}`);
  const pool = (await answer.json()) as Omit<PoolSample, 'atMs'>;
  return { atMs: performance.now(), ...pool };
}

/** Until `until` is aborted. */
export async function watchPool(url: URL, until: AbortSignal): Promise<PoolSample[]> {
  const samples: PoolSample[] = [];
  while (!until.aborted) {
    samples.push(await poolNow(url));
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
  return samples;
}

/** Undefined for a line that is about something else. */
export function poolEvent(line: string): PoolEvent | undefined {
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
  /** What was allowed then. */
  readonly limit: number;
  /** The first sample that has more than was allowed when the last of them was spent: at most a window before. */
  readonly exceeded?: { readonly atMs: number; readonly spent: number; readonly allowed: number };
}

export function spending(samples: readonly PoolSample[], what: 'retries' | 'hedges'): Spending {
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
    // The pool counts in slots of half a second: a second more.
    const sinceMs = sample.atMs - sample.budgets.windowMs - 1000;
    const allowed = samples
      .filter(({ atMs }) => atMs >= sinceMs && atMs <= sample.atMs)
      .reduce((highest, one) => Math.max(highest, limitOf(one)), 0);
    if (spent > allowed * limitMoves) exceeded ??= { atMs: sample.atMs, spent, allowed };
  }
  return { most, limit, ...(exceeded === undefined ? {} : { exceeded }) };
}
