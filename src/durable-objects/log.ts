/**
 * The transparency log's sequencer: one SQLite Durable Object.
 *
 * Appended entries are in its storage before the answer leaves (output gate). An alarm, which survives restarts, runs a round
 * about a second after the first waiting entry. The alarm catches its own failures and sets itself again, because the platform
 * gives up on an alarm that has failed a few times.
 */

import { DurableObject } from 'cloudflare:workers';
import { systemClock } from '../async/clock.ts';
import type { Bytes } from '../bytes.ts';
import { type ErrorCode, isEdgewiseError } from '../errors.ts';
import { readLogKeys } from '../governance/log/keys.ts';
import { Sequencer } from '../governance/log/sequencer.ts';
import { type KeptSealed, type LogLocation, LogService } from '../governance/log/service.ts';
import type { LogRecord } from '../governance/log/types.ts';
import { r2LogObjects } from './log-objects.ts';
import { durableObjectLogState } from './log-state.ts';

/** The value of a call, or its error as data: errors lose their code between isolates. */
export type Answer<T> =
  | { readonly value: T }
  | {
      readonly refused: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly retryAfterSeconds: number | undefined;
      };
    };

const roundIntervalMs = 1000;
const maxRetryMs = 60_000;

export class TransparencyLog extends DurableObject<Env> {
  /** Undefined until first used, and after its creation failed. */
  #service: Promise<LogService> | undefined;
  /** Whether an alarm is set, as far as this instance knows. */
  #isAlarmSet = false;
  #failures = 0;

  append(records: readonly LogRecord[]): Promise<Answer<void>> {
    return this.#answer((service) => service.append(records));
  }

  locate(receiptHash: Bytes, waitMs: number): Promise<Answer<LogLocation | undefined>> {
    return this.#answer((service) => service.locate(receiptHash, waitMs));
  }

  find(id: string): Promise<Answer<{ index: number; sealed: Bytes | undefined } | undefined>> {
    return this.#answer((service) => service.find(id));
  }

  readSealed(index: number): Promise<Answer<KeptSealed>> {
    return this.#answer((service) => service.readSealed(index));
  }

  cosign(note: string): Promise<Answer<void>> {
    return this.#answer((service) => service.cosign(note));
  }

  override async alarm(): Promise<void> {
    // An instance that starts with this alarm needs no other one for the entries that wait already.
    this.#isAlarmSet = true;
    try {
      const service = await this.#ready();
      this.#isAlarmSet = false;
      const more = await service.round();
      this.#failures = 0;
      if (more) await this.#setAlarm(0);
    } catch (error) {
      this.#failures += 1;
      console.error(JSON.stringify({ level: 'error', event: 'log_round_failed', cause: String(error) }));
      await this.#setAlarm(Math.min(maxRetryMs, roundIntervalMs * 2 ** this.#failures));
    }
  }

  async #answer<T>(call: (service: LogService) => Promise<T>): Promise<Answer<T>> {
    try {
      return { value: await call(await this.#ready()) };
    } catch (error) {
      if (!isEdgewiseError(error)) throw error;
      const { code, message, retryAfterSeconds } = error;
      return { refused: { code, message, retryAfterSeconds } };
    }
  }

  #ready(): Promise<LogService> {
    this.#service ??= this.#create().catch((error: unknown) => {
      this.#service = undefined;
      throw error;
    });
    return this.#service;
  }

  async #create(): Promise<LogService> {
    const { EDGEWISE_LOG_KEY: logKey, EDGEWISE_WITNESSES: witnesses, RECORDS } = this.env;
    const keys = await readLogKeys({ logKey, witnesses });
    const state = durableObjectLogState(this.ctx.storage);
    // Entries of an earlier instance may wait whose alarm was lost with a failed write.
    const isWaiting = state.end() > (state.head()?.size ?? 0);
    this.#isAlarmSet ||= (await this.ctx.storage.getAlarm()) !== null;
    if (isWaiting && !this.#isAlarmSet) await this.#setAlarm(roundIntervalMs);
    return new LogService({
      state,
      sequencer: new Sequencer({ state, objects: r2LogObjects(RECORDS), ...keys }),
      clock: systemClock,
      // In the same turn as the entries' rows, so that both are written or neither.
      schedule: () => void (this.#isAlarmSet || this.#setAlarm(roundIntervalMs)),
    });
  }

  #setAlarm(ms: number): Promise<void> {
    this.#isAlarmSet = true;
    return this.ctx.storage.setAlarm(Date.now() + ms);
  }
}
