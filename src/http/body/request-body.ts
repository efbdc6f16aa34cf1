/** Request bodies on their way into memory: what all of them take together has one budget for each isolate or process. */
import type { Bytes } from '../../bytes.ts';
import type { ByteHold } from '../../scheduler/byte-budget.ts';
import type { AppContext } from '../context.ts';
import { type BodyLimits, readWhole } from './read.ts';
import { declaredLength, maxNativeBytes, type Overlong, type Reading, readSent, tooLarge } from './sent.ts';

/**
 * The whole body of the request, decompressed. What it takes of the memory is given back when the request is answered
 * (`context.ts`).
 *
 * @throws EdgewiseError `too_large` before more than a limit is held; what `readWhole` throws.
 */
export async function readBody(c: AppContext, limits: BodyLimits): Promise<Bytes> {
  return orThrow(await readBodyOrRest(c, limits));
}

/** As `readBody`; a body over a limit is given back as it came. */
export async function readBodyOrRest(c: AppContext, limits: BodyLimits): Promise<Bytes | Overlong> {
  const reading = readingOf(c);
  const read = await readWhole(c.req.raw, limits, reading);
  reading.hold.renew(c.get('bodies').leaseMs);
  return read;
}

/** The whole body as it was sent, compressed if it is. @throws EdgewiseError as `readBody` */
export async function readSentBody(c: AppContext, maxBytes: number): Promise<Bytes> {
  const reading = readingOf(c);
  const read = orThrow(await readSent(c.req.raw, maxBytes, reading));
  reading.hold.renew(c.get('bodies').leaseMs);
  return read;
}

/** Tells that of what was read `bytes` are still needed. */
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

/** Whether its hold, left to its lease, would keep others out. */
function mayBeLarge({ headers }: Request): boolean {
  return (declaredLength(headers) ?? Number.POSITIVE_INFINITY) > maxNativeBytes;
}

function releaseOnAbort(hold: ByteHold, signal: AbortSignal): void {
  signal.addEventListener('abort', () => hold.release(), { once: true });
}
