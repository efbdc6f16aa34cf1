/** A transparency log in the memory of the process. */
import type { Clock } from '../../src/async/clock.ts';
import { type LogKeyTexts, readLogKeys } from '../../src/governance/log/keys.ts';
import { receiptLog } from '../../src/governance/log/receipt-log.ts';
import { Sequencer } from '../../src/governance/log/sequencer.ts';
import { LogService } from '../../src/governance/log/service.ts';
import type { LogObjects, LogState } from '../../src/governance/log/store.ts';
import type { ReceiptLog } from '../../src/governance/log/types.ts';
import { memoryLogObjects, memoryLogState } from './memory-log-store.ts';

export interface MemoryLogOptions extends LogKeyTexts {
  readonly clock: Clock;
  /** Time from the first new entry to its round. */
  readonly intervalMs?: number | undefined;
  readonly state?: LogState | undefined;
  readonly objects?: LogObjects | undefined;
}

export interface MemoryLog extends ReceiptLog {
  /** Runs rounds until no entry waits. */
  flush(): Promise<void>;
}

const defaultIntervalMs = 1000;

/** @throws EdgewiseError `internal` if a key is missing or malformed. */
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
