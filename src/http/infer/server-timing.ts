/** The `Server-Timing` header (W3C Server Timing): parts of the request in ms, each to a whole microsecond. */
import type { RunTimings } from '../../engine/types.ts';

/** @param run The parts of a run in this process; for a run at an origin its whole time in ms, attempts and network included */
export function serverTiming(parseMs: number, run: RunTimings | number, encodeMs: number): string {
  const middle =
    typeof run === 'number'
      ? `origin;dur=${roundToMicroseconds(run)}`
      : `load;dur=${roundToMicroseconds(run.loadMs)}, queue;dur=${roundToMicroseconds(run.queueMs)}, run;dur=${roundToMicroseconds(run.runMs)}`;
  return `parse;dur=${roundToMicroseconds(parseMs)}, ${middle}, encode;dur=${roundToMicroseconds(encodeMs)}`;
}

export function roundToMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
