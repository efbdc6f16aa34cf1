import type { EdgeProfile } from './schema.ts';

export type MeasuredRun = EdgeProfile['runs'][number];

/** Kernels count CPU time in ticks of up to this length, so the CPU time of a shorter run may read as 0. */
const tickMicroseconds = 10_000;

/**
 * Returns the cost of a measured run in microseconds: its CPU time if the profile has one, since a busy machine makes a run
 * longer but not more expensive. CPU time below one tick is not trusted.
 */
export function costMicroseconds({ microseconds, cpuMicroseconds = microseconds }: MeasuredRun): number {
  return Math.min(microseconds, Math.max(cpuMicroseconds, tickMicroseconds));
}
