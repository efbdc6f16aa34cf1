import type { EdgeProfile } from './schema.ts';

export type MeasuredRun = EdgeProfile['runs'][number];

/**
 * Returns what a measured run costs, in microseconds: the processor's own time where the profile has it, since a busy machine
 * makes a run longer, but no dearer.
 */
export function costMicroseconds({ microseconds, cpuMicroseconds = microseconds }: MeasuredRun): number {
  return Math.min(microseconds, cpuMicroseconds);
}
