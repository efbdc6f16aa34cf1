import type { EdgeProfile } from './schema.ts';

export type MeasuredRun = EdgeProfile['runs'][number];

/** Kernels count the processor's time in ticks of up to this: a shorter run may be counted as nothing. */
const tickMicroseconds = 10_000;

/**
 * Returns what a measured run costs, in microseconds: the processor's own time where the profile has it, since a busy machine
 * makes a run longer, but no dearer. The processor's time says nothing of less than a tick.
 */
export function costMicroseconds({ microseconds, cpuMicroseconds = microseconds }: MeasuredRun): number {
  return Math.min(microseconds, Math.max(cpuMicroseconds, tickMicroseconds));
}
