/**
 * Gathers the records of one isolate's requests into batches for the log.
 *
 * A Worker may end a request at any moment, so no record depends on the request that added it. Each request hands the
 * promise of its `add` to `waitUntil`; the first request to wake sends the records of all. If that request ends before
 * its batch is answered, the next request takes the batch back and sends it again. Sending twice is harmless, because the
 * log knows a receipt by its hash. Memory is released where a batch is settled, not where a request resumes, because the
 * request may never resume.
 */
import type { Clock } from '../../async/clock.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { LogRecord, ReceiptLog } from './types.ts';

/**
 * A record that is made when its batch is sent, some milliseconds after the answer. Hashing and sealing take as long as
 * signing did, and the caller's next request must not wait for them.
 */
export interface LazyRecord {
  /** Approximate size of the record. */
  readonly byteLength: number;
  /** Called again if the first call never settles, because the request that awaited it has ended. */
  make(): LogRecord | Promise<LogRecord>;
}

export function wrapRecord(record: LogRecord): LazyRecord {
  return { byteLength: record.entry.length + (record.sealed?.length ?? 0), make: () => record };
}

export interface LogAppender {
  /**
   * Resolves when the log has the record, durably.
   *
   * @throws EdgewiseError `records_unavailable` when the log did not take the record. The receipt's holder can submit it later.
   */
  add(record: LazyRecord): Promise<void>;
  /**
   * Reports whether the record of a request that starts now will find room. A quarter of the memory is reserved for
   * requests in progress. A receipt that finds no room still reaches its caller, but the log lacks it until it is submitted.
   */
  hasRoom(): boolean;
  /**
   * Sends one batch of the queued records, unless a batch is in flight. Called by requests that are refused because there
   * is no room: the requests that added the records may have ended. Does not reject.
   */
  flush(): Promise<void>;
}

export interface AppenderOptions {
  readonly log: Pick<ReceiptLog, 'append'>;
  readonly clock: Clock;
  /** How long a record waits for others to join its batch. */
  readonly windowMs?: number;
  readonly maxBatchRecords?: number;
  /** Limit for all records that are not in the log yet, together. */
  readonly maxHeldBytes?: number;
  readonly maxAttempts?: number;
  /** Delay before the second attempt; doubles with each further one. */
  readonly backoffMs?: number;
  /** A batch without an answer after this time is sent again. */
  readonly patienceMs?: number;
}

/** One record on its way into the log. */
interface Slot {
  readonly source: LazyRecord;
  record: LogRecord | undefined;
  readonly bytes: number;
  attempts: number;
  /** True while queued; false once sent or settled. */
  isQueued: boolean;
  outcome: { readonly failure: unknown } | 'appended' | undefined;
  /** Wakes the request that added the record. */
  wake: () => void;
}

interface Batch {
  readonly slots: readonly Slot[];
  readonly sentMs: number;
}

const defaults = {
  windowMs: 50,
  maxBatchRecords: 256,
  maxHeldBytes: 8 * 1024 * 1024,
  maxAttempts: 7,
  backoffMs: 200,
  patienceMs: 5000,
};
const roomShare = 0.75;
/** Memory of a queued record beside its bytes: objects, strings, a promise and a timer. */
const recordOverheadBytes = 500;

export class BatchingAppender implements LogAppender {
  readonly #options: Required<AppenderOptions>;
  readonly #queued = new Set<Slot>();
  readonly #inFlight = new Set<Batch>();
  #heldBytes = 0;

  constructor(options: AppenderOptions) {
    this.#options = { ...defaults, ...options };
  }

  hasRoom(): boolean {
    return this.#heldBytes < this.#options.maxHeldBytes * roomShare;
  }

  async flush(): Promise<void> {
    this.#takeBack();
    if (this.#queued.size === 0 || this.#inFlight.size > 0) return;
    await this.#send(this.#dequeue([...this.#queued].slice(0, this.#options.maxBatchRecords)));
  }

  async add(source: LazyRecord): Promise<void> {
    const slot = this.#enqueue(source);
    if (this.#queued.size < this.#options.maxBatchRecords) await this.#wait(slot, this.#options.windowMs);
    for (this.#takeBack(); slot.outcome === undefined; this.#takeBack()) {
      // Not awaited: if its answer never comes, the batch is sent again.
      if (slot.isQueued) void this.#send(this.#batchWith(slot));
      await this.#wait(slot, this.#options.patienceMs);
      if (slot.isQueued) await this.#wait(slot, this.#options.backoffMs * 2 ** (slot.attempts - 1));
    }
    if (slot.outcome !== 'appended') {
      throw notRecorded(`${slot.attempts} attempts failed`, slot.outcome.failure);
    }
  }

  #enqueue(source: LazyRecord): Slot {
    const bytes = source.byteLength + recordOverheadBytes;
    if (this.#heldBytes + bytes > this.#options.maxHeldBytes) {
      throw notRecorded(
        `the queue holds ${this.#heldBytes} bytes, and its limit is ${this.#options.maxHeldBytes} bytes`,
      );
    }
    this.#heldBytes += bytes;
    const slot: Slot = {
      source,
      record: undefined,
      bytes,
      attempts: 0,
      isQueued: true,
      outcome: undefined,
      wake: () => {},
    };
    this.#queued.add(slot);
    return slot;
  }

  /** Waits until the slot is woken or the time is over. The timer belongs to the waiting request, so only it cancels it. */
  async #wait(slot: Slot, ms: number): Promise<void> {
    let cancel = () => {};
    await new Promise<void>((resolve) => {
      slot.wake = resolve;
      cancel = this.#options.clock.after(ms, resolve);
    });
    cancel();
  }

  #settle(slot: Slot, outcome: NonNullable<Slot['outcome']>): void {
    if (slot.outcome !== undefined) return;
    slot.outcome = outcome;
    slot.isQueued = false;
    this.#queued.delete(slot);
    this.#heldBytes -= slot.bytes;
  }

  /** Counts a failed attempt: queues the slot again, or settles it after the last attempt. */
  #failAttempt(slot: Slot, failure: unknown, isFinal: boolean): void {
    if (slot.outcome !== undefined) return;
    slot.attempts += 1;
    if (isFinal || slot.attempts >= this.#options.maxAttempts) {
      this.#settle(slot, { failure });
    } else {
      slot.isQueued = true;
      this.#queued.add(slot);
    }
  }

  /** Queues batches again that have no answer in time: the request that sent them may have ended. */
  #takeBack(): void {
    for (const batch of this.#inFlight) {
      if (this.#options.clock.now() - batch.sentMs < this.#options.patienceMs) continue;
      this.#inFlight.delete(batch);
      for (const slot of batch.slots) this.#failAttempt(slot, new Error('no answer in time'), false);
    }
  }

  #batchWith(slot: Slot): Batch {
    const others = [...this.#queued].filter((other) => other !== slot);
    return this.#dequeue([slot, ...others.slice(0, this.#options.maxBatchRecords - 1)]);
  }

  #dequeue(slots: readonly Slot[]): Batch {
    for (const slot of slots) {
      slot.isQueued = false;
      this.#queued.delete(slot);
    }
    return { slots, sentMs: this.#options.clock.now() };
  }

  /** Does not reject: each slot is settled, or queued again. */
  async #send(batch: Batch): Promise<void> {
    const { slots } = batch;
    this.#inFlight.add(batch);
    try {
      const records = await this.#makeRecords(batch);
      if (records.length > 0) await this.#options.log.append(records);
      for (const slot of slots) this.#settle(slot, 'appended');
    } catch (error) {
      // A batch that was taken back meanwhile is in the hands of another request.
      if (this.#inFlight.has(batch)) await this.#failBatch(slots, error);
    } finally {
      this.#inFlight.delete(batch);
      for (const slot of slots) slot.wake();
    }
  }

  /** Makes the records one after another. A record that cannot be made does not fail the others. */
  async #makeRecords(batch: Batch): Promise<LogRecord[]> {
    const records: LogRecord[] = [];
    for (const slot of batch.slots) {
      try {
        slot.record ??= await slot.source.make();
        records.push(slot.record);
      } catch (cause) {
        // If the batch was taken back, another request makes the record again.
        if (this.#inFlight.has(batch)) this.#failAttempt(slot, cause, true);
        slot.wake();
      }
    }
    return records;
  }

  async #failBatch(slots: readonly Slot[], error: unknown): Promise<void> {
    const isRefused = isEdgewiseError(error) && error.code === 'invalid_request';
    if (isRefused && slots.length > 1) {
      // Each record is sent alone, so that only the one that the log refuses fails.
      await Promise.all(slots.map((slot) => this.#send(this.#dequeue([slot]))));
      return;
    }
    for (const slot of slots) this.#failAttempt(slot, error, isRefused);
  }
}

function notRecorded(reason: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError('records_unavailable', `the receipt was not put on record: ${reason}`, { cause });
}
