/** Takes entries, runs rounds, and lets callers wait for a round. One service for each state. */

import type { Clock } from '../../async/clock.ts';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { checkEntry } from './entry.ts';
import { firstLoose } from './frontier.ts';
import type { Sequencer } from './sequencer.ts';
import type { LogState } from './store.ts';
import { tileWidth } from './tiles.ts';
import type { LogRecord } from './types.ts';

export interface LogLocation {
  readonly index: number;
  /** Signed note of a published checkpoint that covers the entry. */
  readonly checkpoint: string;
}

export interface KeptSealed {
  readonly sealed: readonly (Bytes | undefined)[];
  /** One past the last entry of the log. */
  readonly end: number;
}

/** The part of a `ReceiptLog` that needs the state; the files answer the rest. */
export interface LogCore {
  append(records: readonly LogRecord[]): Promise<void>;
  locate(receiptHash: Bytes, waitMs: number): Promise<LogLocation | undefined>;
  find(id: string): Promise<{ readonly index: number; readonly sealed: Bytes | undefined } | undefined>;
  /** Sealed receipts of the rows that the state still has, from `index` to the end of its bundle. */
  readSealed(index: number): Promise<KeptSealed>;
  cosign(note: string): Promise<void>;
}

export interface LogServiceOptions {
  readonly state: LogState;
  readonly sequencer: Sequencer;
  readonly clock: Clock;
  /** Requests a round, soon. Called again for each batch of new entries. */
  readonly schedule: () => void;
  /** Limit for entries that wait for their round; beyond it, `append` throws `overloaded`. */
  readonly maxPending?: number | undefined;
}

const defaultMaxPending = 200_000;
/** A row of a Durable Object's storage holds 2 MB; receipts are far below. */
const maxSealedBytes = 64 * 1024;
const maxIdLength = 128;
/** Longest wait that a caller may ask for, so that no caller holds a connection forever. */
const maxWaitMs = 30_000;
/**
 * Callers that may wait for a receipt that the log has not seen, which may not exist. Further ones are answered at once.
 * Callers whose receipt waits for its round always wait.
 */
const maxWaitingUnknown = 256;

export class LogService implements LogCore {
  readonly #options: LogServiceOptions;
  readonly #waiting = new Set<() => void>();
  #waitingUnknown = 0;

  constructor(options: LogServiceOptions) {
    this.#options = options;
  }

  async append(records: readonly LogRecord[]): Promise<void> {
    const { state, schedule, maxPending = defaultMaxPending } = this.#options;
    for (const record of records) checkRecord(record);
    const pending = state.end() - (state.head()?.size ?? 0);
    if (pending + records.length > maxPending) {
      throw new EdgewiseError(
        'overloaded',
        `${pending} entries wait for their place in the log; with ${records.length} new ones they would exceed the limit of ${maxPending}`,
        { retryAfterSeconds: 1 },
      );
    }
    if (state.append(records) > 0) schedule();
  }

  async locate(receiptHash: Bytes, waitMs: number): Promise<LogLocation | undefined> {
    const { state, sequencer, clock } = this.#options;
    const untilMs = clock.now() + Math.min(waitMs, maxWaitMs);
    for (;;) {
      const location = this.#locationOf(receiptHash, await sequencer.ready());
      const leftMs = untilMs - clock.now();
      if (location !== undefined || !(leftMs > 0)) return location;
      if (state.indexOf(receiptHash) !== undefined) await this.#nextRound(leftMs);
      else if (this.#waitingUnknown >= maxWaitingUnknown) return undefined;
      else await this.#nextRoundForUnknown(leftMs);
    }
  }

  async find(
    id: string,
  ): Promise<{ readonly index: number; readonly sealed: Bytes | undefined } | undefined> {
    return this.#options.state.find(id);
  }

  async readSealed(index: number): Promise<KeptSealed> {
    const { state } = this.#options;
    const end = state.end();
    const rows = state.rows(index, Math.min(end, firstLoose(index) + tileWidth));
    return { sealed: rows.map(({ sealed }) => sealed), end };
  }

  cosign(note: string): Promise<void> {
    return this.#options.sequencer.cosign(note);
  }

  /** Runs one round and wakes all callers that wait for it. @returns whether more entries wait. */
  async round(): Promise<boolean> {
    const more = await this.#options.sequencer.round();
    for (const wake of [...this.#waiting]) wake();
    return more;
  }

  #locationOf(receiptHash: Bytes, publishedSize: number): LogLocation | undefined {
    const { state } = this.#options;
    const index = state.indexOf(receiptHash);
    const checkpoint = index === undefined ? undefined : state.bestNote(index, publishedSize);
    return index === undefined || checkpoint === undefined ? undefined : { index, checkpoint };
  }

  #nextRound(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancel();
        this.#waiting.delete(wake);
        resolve();
      };
      const cancel = this.#options.clock.after(ms, wake);
      this.#waiting.add(wake);
    });
  }

  async #nextRoundForUnknown(ms: number): Promise<void> {
    this.#waitingUnknown += 1;
    await this.#nextRound(ms);
    this.#waitingUnknown -= 1;
  }
}

/** @throws EdgewiseError `invalid_request` */
function checkRecord({ id, entry, sealed }: LogRecord): void {
  checkEntry(entry);
  if (id === '' || id.length > maxIdLength) {
    throw new EdgewiseError(
      'invalid_request',
      `the receipt id has ${id.length} characters; expected 1 to ${maxIdLength}`,
    );
  }
  if (sealed !== undefined && (sealed.length === 0 || sealed.length > maxSealedBytes)) {
    throw new EdgewiseError(
      'invalid_request',
      `the sealed receipt has ${sealed.length} bytes; expected 1 to ${maxSealedBytes}`,
    );
  }
}
