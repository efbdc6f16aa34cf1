/** What a request says of its own place in the queue: Triton's schedule policy (extension_schedule_policy.md). */
import { EdgewiseError } from '../errors.ts';
import type { Parameters } from '../protocol/oip/types.ts';

export interface SchedulePolicy {
  /** 1 is the highest, larger numbers are lower; 0: the default level. */
  readonly priority: number;
  /** From the request's arrival; its run must have begun by then. Undefined: no limit of the caller's. */
  readonly deadlineMs: number | undefined;
  /** From the request's arrival; its answer is not wanted later. Undefined: no limit of the caller's. */
  readonly totalMs: number | undefined;
}

/** A day. Timers hold no more than 2^31 ms, and a caller that would wait longer has no deadline to speak of. */
const longestDeadlineMs = 86_400_000;

/**
 * The `priority` and `timeout` parameters (microseconds that the request may wait for its run; 0: no limit), and the
 * `Edgewise-Timeout-Ms` header, in which one server tells the next what is left of a request's whole time.
 *
 * @throws EdgewiseError `invalid_request`
 */
export function schedulePolicy(parameters: Parameters, timeoutHeader?: string): SchedulePolicy {
  const priority = wholeParameter(
    parameters,
    'priority',
    'a priority level: 1 (highest), 2 …; 0 for the default',
  );
  const timeoutMicroseconds = wholeParameter(parameters, 'timeout', 'a whole number of microseconds');
  const queueMs = timeoutMicroseconds === 0 ? Number.POSITIVE_INFINITY : timeoutMicroseconds / 1000;
  const totalMs = headerMs(timeoutHeader);
  return { priority, deadlineMs: limit(Math.min(queueMs, totalMs)), totalMs: limit(totalMs) };
}

function limit(ms: number): number | undefined {
  return ms === Number.POSITIVE_INFINITY ? undefined : Math.min(ms, longestDeadlineMs);
}

/** 0 where the parameter is absent. */
function wholeParameter(parameters: Parameters, name: 'priority' | 'timeout', wanted: string): number {
  const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
  if (value === undefined) return 0;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new EdgewiseError(
      'invalid_request',
      `parameter ${name} is ${JSON.stringify(value).slice(0, 40)}, wanted ${wanted}`,
    );
  }
  return value;
}

function headerMs(header: string | undefined): number {
  if (header === undefined) return Number.POSITIVE_INFINITY;
  if (!/^[1-9]\d{0,14}$/.test(header)) {
    throw new EdgewiseError(
      'invalid_request',
      `the header Edgewise-Timeout-Ms is ${JSON.stringify(header.slice(0, 40))}, wanted whole milliseconds from 1`,
    );
  }
  return Number(header);
}
