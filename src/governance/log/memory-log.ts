/** A whole log in the memory of the process: for tests, and for a server that accounts to nobody but itself. */
import type { Clock } from '../../async/clock.ts';
import { type LogKeyTexts, readLogKeys } from './keys.ts';
import { memoryLogObjects, memoryLogState } from './memory-store.ts';
import { receiptLog } from './receipt-log.ts';
import { Sequencer } from './sequencer.ts';
import { LogService } from './service.ts';
import type { LogObjects, LogState } from './store.ts';
import type { ReceiptLog } from './types.ts';

export interface MemoryLogOptions extends LogKeyTexts {
  readonly clock: Clock;
  /** Time from the first new entry to the round that takes it in. */
  readonly intervalMs?: number | undefined;
  readonly state?: LogState | undefined;
  readonly objects?: LogObjects | undefined;
}

export interface MemoryLog extends ReceiptLog {
  /** Runs the rounds that are due now, instead of waiting for their time. */
  flush(): Promise<void>;
}

const defaultIntervalMs = 1000;

/** @throws EdgewiseError `internal` for keys that are missing or not usable. */
export async function memoryLog(options: MemoryLogOptions): Promise<MemoryLog> {
  const { clock, intervalMs = defaultIntervalMs } = options;
  const { state = memoryLogState(), objects = memoryLogObjects() } = options;
  const sequencer = new Sequencer({ state, objects, ...(await readLogKeys(options)) });
  let isDue = false;

  const service = new LogService({ state, sequencer, clock, schedule });

  function schedule(): void {
    if (isDue) return;
    isDue = true;
    clock.after(intervalMs, () => {
      isDue = false;
      flush().catch(schedule);
    });
  }

  async function flush(): Promise<void> {
    while (await service.round());
  }

  return {
    ...receiptLog(service, async (path) => (await objects.get(path))?.bytes),
    flush,
  };
}
