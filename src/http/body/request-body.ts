/** Reads the bodies of requests. All bodies of an isolate, or a process, share one memory budget. */
import type { Bytes } from '../../bytes.ts';
import type { ByteHold } from '../../scheduler/byte-budget.ts';
import type { AppContext } from '../context.ts';
import { type BodyLimits, readWhole } from './read.ts';
import { declaredLength, maxNativeBytes, type Overlong, type Reading, readSent, tooLarge } from './sent.ts';

/**
 * Returns the whole body of the request, decompressed. Its memory is given back when the request is answered (`context.ts`).
 *
 * @throws EdgewiseError `too_large` before more than a limit is held; as `readWhole`
 */
export async function readBody(c: AppContext, limits: BodyLimits): Promise<Bytes> {
  return orThrow(await readBodyOrRest(c, limits));
}

/** Reads as `readBody`, but returns a body over a limit as it came. */
export async function readBodyOrRest(c: AppContext, limits: BodyLimits): Promise<Bytes | Overlong> {
  const reading = readingOf(c);
  const read = await readWhole(c.req.raw, limits, reading);
  reading.hold.renew(c.get('bodies').leaseMs);
  return read;
}

/** Returns the whole body as it was sent, which may be compressed. @throws EdgewiseError as `readBody` */
export async function readSentBody(c: AppContext, maxBytes: number): Promise<Bytes> {
  const reading = readingOf(c);
  const read = orThrow(await readSent(c.req.raw, maxBytes, reading));
  reading.hold.renew(c.get('bodies').leaseMs);
  return read;
}

/** Gives back all of the body's memory but `bytes`. */
export function keepOfBody(c: AppContext, bytes: number): void {
  c.get('bodyHold')?.shrinkTo(bytes);
}

function orThrow(read: Bytes | Overlong): Bytes {
  if (read instanceof Uint8Array) return read;
  read.discard();
  throw tooLarge(read);
}

function readingOf(c: AppContext): Reading {
  const { budget, clock, endsWithCaller, leaseMs, pace } = c.get('bodies');
  let hold = c.get('bodyHold');
  if (hold === undefined) {
    hold = budget.hold(leaseMs);
    c.set('bodyHold', hold);
    if (endsWithCaller && mayBeLarge(c.req.raw)) releaseOnAbort(hold, c.req.raw.signal);
  }
  return { hold, pace, clock };
}

/** Reports whether the body may be so large that its hold must not wait for its lease to end. */
function mayBeLarge({ headers }: Request): boolean {
  return (declaredLength(headers) ?? Number.POSITIVE_INFINITY) > maxNativeBytes;
}

function releaseOnAbort(hold: ByteHold, signal: AbortSignal): void {
  signal.addEventListener('abort', () => hold.release(), { once: true });
}
