import { randomHex } from './random-hex.ts';

/** W3C Trace Context (Level 1), https://www.w3.org/TR/trace-context/. */
const traceparentForm = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const zeroes = /^0+$/;

/** Returns the `traceparent` of a new span, in the caller's trace if it is valid, otherwise in a new unsampled trace. */
export function continueTrace(traceparent: string | undefined): string {
  const spanId = randomHex(8);
  const given = traceparent === undefined ? undefined : traceparentForm.exec(traceparent);
  const [, traceId, parentId, flags] = given ?? [];
  if (traceId === undefined || parentId === undefined || zeroes.test(traceId) || zeroes.test(parentId)) {
    return `00-${randomHex(16)}-${spanId}-00`;
  }
  return `00-${traceId}-${spanId}-${flags}`;
}
