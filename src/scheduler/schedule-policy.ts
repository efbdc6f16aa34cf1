/** Reads a request's priority and time limits: Triton's schedule policy (extension_schedule_policy.md). */
import { EdgewiseError } from '../errors.ts';
import type { Parameters } from '../protocol/oip/types.ts';

export interface SchedulePolicy {
  /** 1 is the highest level; larger numbers are lower. 0 is the default level. */
  readonly priority: number;
  /** Time from the request's arrival within which its run must begin; at most `totalMs`. Undefined: no limit. */
  readonly deadlineMs: number | undefined;
  /** Time from the request's arrival within which the caller expects the answer. Undefined: no limit. */
  readonly totalMs: number | undefined;
}

/** One day. Timers are limited to 2^31 ms, and longer deadlines have no practical effect. */
const longestDeadlineMs = 86_400_000;

/**
 * Reads the parameters `priority` and `timeout`, and the header `Edgewise-Timeout-Ms`. `timeout` is how many microseconds
 * the request may wait for its run; 0: no limit. The header is the time left for the answer, set by the server that
 * forwards the request. It limits the wait too.
 *
 * @throws EdgewiseError `invalid_request` for a parameter or header that is not a whole number in range.
 */
export function readSchedulePolicy(parameters: Parameters, timeoutHeader?: string): SchedulePolicy {
  const priority = readWholeParameter(
    parameters,
    'priority',
    'a priority level: 1 (highest), 2 …; 0 for the default',
  );
  const timeoutMicroseconds = readWholeParameter(parameters, 'timeout', 'a whole number of microseconds');
  const queueMs = timeoutMicroseconds === 0 ? Number.POSITIVE_INFINITY : timeoutMicroseconds / 1000;
  const totalMs = parseTimeoutHeader(timeoutHeader);
  return { priority, deadlineMs: clampDeadline(Math.min(queueMs, totalMs)), totalMs: clampDeadline(totalMs) };
}

/** Returns at most one day; undefined for Infinity, which means no limit. */
function clampDeadline(ms: number): number | undefined {
  return ms === Number.POSITIVE_INFINITY ? undefined : Math.min(ms, longestDeadlineMs);
}

/**
 * Returns the parameter; 0 if it is absent.
 *
 * @throws EdgewiseError `invalid_request` unless it is a whole number from 0.
 */
function readWholeParameter(parameters: Parameters, name: 'priority' | 'timeout', expected: string): number {
  const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
  if (value === undefined) return 0;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new EdgewiseError(
      'invalid_request',
      `parameter ${name} is ${JSON.stringify(value).slice(0, 40)}; expected ${expected}`,
    );
  }
  return value;
}

/**
 * Returns the milliseconds in the header; Infinity if it is absent.
 *
 * @throws EdgewiseError `invalid_request` for 0 too.
 */
function parseTimeoutHeader(header: string | undefined): number {
  if (header === undefined) return Number.POSITIVE_INFINITY;
  if (!/^[1-9]\d{0,14}$/.test(header)) {
    throw new EdgewiseError(
      'invalid_request',
      `the header Edgewise-Timeout-Ms is ${JSON.stringify(header.slice(0, 40))}; expected a whole number of milliseconds, at least 1`,
    );
  }
  return Number(header);
}
