/** What runs beside the state: taking entries, the rounds, and the waiting for them. One for each state. */

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
  /** Signed note of a published checkpoint that holds the entry. */
  readonly checkpoint: string;
}

/** What needs the state; all else of a `ReceiptLog` comes out of the files. */
export interface LogCore {
  append(records: readonly LogRecord[]): Promise<void>;
  locate(receiptHash: Bytes, waitMs: number): Promise<LogLocation | undefined>;
  find(id: string): Promise<{ readonly index: number; readonly sealed: Bytes | undefined } | undefined>;
  /** Sealed receipts of the rows that are still there, from `index` to the end of its bundle; and one past the last entry. */
  kept(index: number): Promise<KeptSealed>;
  cosign(note: string): Promise<void>;
}

export interface KeptSealed {
  readonly sealed: readonly (Bytes | undefined)[];
  readonly end: number;
}

export interface LogServiceOptions {
  readonly state: LogState;
  readonly sequencer: Sequencer;
  readonly clock: Clock;
  /** Asks for a round, soon. Called again for each batch of new entries. */
  readonly schedule: () => void;
  /** Entries that may wait for their round; beyond, the log takes no more. */
  readonly maxPending?: number | undefined;
}

export interface LogService extends LogCore {
  /** Runs one round and wakes who waits for it. @returns whether more entries wait. */
  round(): Promise<boolean>;
}

const defaultMaxPending = 200_000;
/** A row of a Durable Object's storage holds 2 MB; receipts are far below. */
const maxSealedBytes = 64 * 1024;
const maxIdLength = 128;
/** Longest wait that is heeded, so that nobody holds a connection for good. */
const maxWaitMs = 30_000;
/**
 * Who asks for a receipt that the log has not seen may ask for anything; that many of them are waited with, the others are
 * answered at once. Those whose receipt waits for its round always wait.
 */
const maxWaitingUnknown = 256;

export function createLogService(options: LogServiceOptions): LogService {
  const { state, sequencer, clock, schedule, maxPending = defaultMaxPending } = options;
  const waiting = new Set<() => void>();
  let waitingUnknown = 0;

  function nextRound(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancel();
        waiting.delete(wake);
        resolve();
      };
      const cancel = clock.after(ms, wake);
      waiting.add(wake);
    });
  }

  async function unknownUntil(round: Promise<void>): Promise<void> {
    waitingUnknown += 1;
    await round;
    waitingUnknown -= 1;
  }

  function placeOf(receiptHash: Bytes, published: number): LogLocation | undefined {
    const index = state.indexOf(receiptHash);
    const checkpoint = index === undefined ? undefined : state.bestNote(index, published);
    return index === undefined || checkpoint === undefined ? undefined : { index, checkpoint };
  }

  return {
    async append(records) {
      for (const record of records) checkRecord(record);
      const pending = state.end() - (state.head()?.size ?? 0);
      if (pending + records.length > maxPending) {
        throw new EdgewiseError(
          'overloaded',
          `${pending} entries wait for their place in the log, wanted ${maxPending} at most with the ${records.length} new ones`,
          { retryAfterSeconds: 1 },
        );
      }
      if (state.append(records) > 0) schedule();
    },
    async locate(receiptHash, waitMs) {
      const untilMs = clock.now() + Math.min(waitMs, maxWaitMs);
      for (;;) {
        const place = placeOf(receiptHash, await sequencer.ready());
        const leftMs = untilMs - clock.now();
        if (place !== undefined || !(leftMs > 0)) return place;
        if (state.indexOf(receiptHash) !== undefined) await nextRound(leftMs);
        else if (waitingUnknown >= maxWaitingUnknown) return undefined;
        else await unknownUntil(nextRound(leftMs));
      }
    },
    async find(id) {
      return state.find(id);
    },
    async kept(index) {
      const end = state.end();
      const rows = state.rows(index, Math.min(end, firstLoose(index) + tileWidth));
      return { sealed: rows.map(({ sealed }) => sealed), end };
    },
    cosign: (note) => sequencer.cosign(note),
    async round() {
      const more = await sequencer.round();
      for (const wake of [...waiting]) wake();
      return more;
    },
  };
}

/** @throws EdgewiseError `invalid_request` */
function checkRecord({ id, entry, sealed }: LogRecord): void {
  checkEntry(entry);
  if (id === '' || id.length > maxIdLength) {
    throw new EdgewiseError(
      'invalid_request',
      `receipt id of ${id.length} characters is not usable, wanted 1 to ${maxIdLength}`,
    );
  }
  if (sealed !== undefined && (sealed.length === 0 || sealed.length > maxSealedBytes)) {
    throw new EdgewiseError(
      'invalid_request',
      `sealed receipt of ${sealed.length} bytes is not usable, wanted 1 to ${maxSealedBytes}`,
    );
  }
}
