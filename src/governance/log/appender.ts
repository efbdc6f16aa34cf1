/**
 * Gathers the records of one isolate's requests into batches for the log.
 *
 * Made for isolates whose requests may end in the middle of anything. Each `add` is the work of its own request, which
 * hands the promise to `waitUntil`; whichever request wakes first sends what all have added. None depends on that one
 * living on: a batch that was sent and not heard of for a while is taken back and sent again by whoever comes next.
 * Sending twice is harmless, since the log knows a receipt by its hash. What a request adds and what it holds of the
 * memory is counted where the batch is settled, not where the request goes on, for it may never go on.
 */
import type { Clock } from '../../async/clock.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { LogRecord, ReceiptLog } from './types.ts';

/**
 * A record that is made when its batch is sent, some milliseconds after the answer: hashing and sealing take as long as
 * signing did, and whoever asks again is not to wait for that.
 */
export interface DueRecord {
  /** About what it will weigh. */
  readonly byteLength: number;
  /** Called again where it has not come to its end: the request that waited for it may be no more. */
  make(): LogRecord | Promise<LogRecord>;
}

export function madeRecord(record: LogRecord): DueRecord {
  return { byteLength: record.entry.length + (record.sealed?.length ?? 0), make: () => record };
}

export interface LogAppender {
  /**
   * Resolves when the log has the record, durably.
   *
   * @throws EdgewiseError `records_unavailable` when it could not be put there: the receipt's holder can hand it in.
   */
  add(record: DueRecord): Promise<void>;
  /**
   * Whether what is answered now will find room here. A quarter is kept back for what is being answered already: what finds
   * none is given to its caller, and missing to everybody else until handed in.
   */
  hasRoom(): boolean;
  /**
   * Sends of what waits as much as goes at once, unless something is under way: for requests that are turned away for want of
   * room, since those that added it may be no more. Does not reject.
   */
  flush(): Promise<void>;
}

export interface AppenderOptions {
  readonly log: Pick<ReceiptLog, 'append'>;
  readonly clock: Clock;
  /** How long a record waits for others to go with it. */
  readonly windowMs?: number;
  readonly maxBatchRecords?: number;
  /** Of the records that are not in the log yet, together. */
  readonly maxHeldBytes?: number;
  readonly maxAttempts?: number;
  /** Before the second attempt; doubles with each further one. */
  readonly backoffMs?: number;
  /** A batch that is not answered for so long is sent again. */
  readonly patienceMs?: number;
}

interface Slot {
  readonly due: DueRecord;
  record: LogRecord | undefined;
  readonly bytes: number;
  attempts: number;
  /** Waits to be sent, as against: is under way, or settled. */
  isHeld: boolean;
  outcome: { readonly failure: unknown } | 'appended' | undefined;
  /** Wakes the request that added it. */
  wake: () => void;
}

interface Batch {
  readonly slots: readonly Slot[];
  readonly sentMs: number;
}

const roomShare = 0.75;
/** What a record weighs beside its bytes: objects, strings, a promise and a timer. */
const recordOverheadBytes = 500;

export function createAppender(options: AppenderOptions): LogAppender {
  const {
    log,
    clock,
    windowMs = 50,
    maxBatchRecords = 256,
    maxHeldBytes = 8 * 1024 * 1024,
    maxAttempts = 7,
    backoffMs = 200,
    patienceMs = 5000,
  } = options;
  const held = new Set<Slot>();
  const underway = new Set<Batch>();
  let heldBytes = 0;

  /** Until it is woken, or the time is over. The timer is of the request that waits, so only that one cancels it. */
  async function wait(slot: Slot, ms: number): Promise<void> {
    let cancel = () => {};
    await new Promise<void>((resolve) => {
      slot.wake = resolve;
      cancel = clock.after(ms, resolve);
    });
    cancel();
  }

  function settle(slot: Slot, outcome: NonNullable<Slot['outcome']>): void {
    if (slot.outcome !== undefined) return;
    slot.outcome = outcome;
    slot.isHeld = false;
    held.delete(slot);
    heldBytes -= slot.bytes;
  }

  function hold(slot: Slot): void {
    slot.isHeld = true;
    held.add(slot);
  }

  function attempted(slot: Slot, failure: unknown, isFinal: boolean): void {
    if (slot.outcome !== undefined) return;
    slot.attempts += 1;
    if (isFinal || slot.attempts >= maxAttempts) settle(slot, { failure });
    else hold(slot);
  }

  /** Takes back what was sent by a request that may be no more. */
  function takeBack(): void {
    for (const batch of underway) {
      if (clock.now() - batch.sentMs < patienceMs) continue;
      underway.delete(batch);
      for (const slot of batch.slots) attempted(slot, new Error('no answer in time'), false);
    }
  }

  function batchWith(slot: Slot): Batch {
    const others = [...held].filter((other) => other !== slot);
    return batchOf([slot, ...others.slice(0, maxBatchRecords - 1)]);
  }

  function batchOf(slots: readonly Slot[]): Batch {
    for (const slot of slots) {
      slot.isHeld = false;
      held.delete(slot);
    }
    return { slots, sentMs: clock.now() };
  }

  /** Makes them one after another. One that cannot be made does not take the others with it. */
  async function recordsOf(batch: Batch): Promise<LogRecord[]> {
    const records: LogRecord[] = [];
    for (const slot of batch.slots) {
      try {
        slot.record ??= await slot.due.make();
        records.push(slot.record);
      } catch (cause) {
        // Of a batch that was taken back, somebody else makes it again.
        if (underway.has(batch)) attempted(slot, cause, true);
        slot.wake();
      }
    }
    return records;
  }

  /** Does not reject: each slot has its outcome, or is held again. */
  async function send(batch: Batch): Promise<void> {
    const { slots } = batch;
    underway.add(batch);
    try {
      const records = await recordsOf(batch);
      if (records.length > 0) await log.append(records);
      for (const slot of slots) settle(slot, 'appended');
    } catch (error) {
      // A batch that was taken back meanwhile is others' business.
      if (underway.has(batch)) await failed(slots, error);
    } finally {
      underway.delete(batch);
      for (const slot of slots) slot.wake();
    }
  }

  async function failed(slots: readonly Slot[], error: unknown): Promise<void> {
    const isRefused = isEdgewiseError(error) && error.code === 'invalid_request';
    if (isRefused && slots.length > 1) {
      // One record that the log refuses does not take the others with it.
      await Promise.all(slots.map((slot) => send(batchOf([slot]))));
      return;
    }
    for (const slot of slots) attempted(slot, error, isRefused);
  }

  return {
    hasRoom: () => heldBytes < maxHeldBytes * roomShare,
    async flush() {
      takeBack();
      if (held.size > 0 && underway.size === 0) await send(batchOf([...held].slice(0, maxBatchRecords)));
    },
    async add(due) {
      const bytes = due.byteLength + recordOverheadBytes;
      if (heldBytes + bytes > maxHeldBytes)
        throw notRecorded(`${heldBytes} bytes wait for it, wanted ${maxHeldBytes} at most`);
      heldBytes += bytes;
      const slot: Slot = {
        due,
        record: undefined,
        bytes,
        attempts: 0,
        isHeld: false,
        outcome: undefined,
        wake: () => {},
      };
      hold(slot);
      if (held.size < maxBatchRecords) await wait(slot, windowMs);
      for (takeBack(); slot.outcome === undefined; takeBack()) {
        // Not waited for itself: should its answer never come, the batch is sent again.
        if (slot.isHeld) void send(batchWith(slot));
        await wait(slot, patienceMs);
        if (slot.isHeld) await wait(slot, backoffMs * 2 ** (slot.attempts - 1));
      }
      if (slot.outcome !== 'appended') {
        throw notRecorded(`${slot.attempts} attempts failed`, slot.outcome.failure);
      }
    },
  };
}

function notRecorded(why: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError('records_unavailable', `receipt is not put on record: ${why}`, { cause });
}
