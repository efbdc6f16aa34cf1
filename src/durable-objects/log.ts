/**
 * The transparency log's sequencer: one SQLite Durable Object.
 *
 * What is appended is in its storage before the answer leaves (output gate). An alarm, which outlives every restart, runs
 * the rounds: about a second after the first entry that waits. It catches its own failures and sets itself anew, since
 * the platform gives up on an alarm that failed a few times.
 */
import { DurableObject } from 'cloudflare:workers';
import { systemClock } from '../async/clock.ts';
import { type ErrorCode, isEdgewiseError } from '../errors.ts';
import { readLogKeys } from '../governance/log/keys.ts';
import { Sequencer } from '../governance/log/sequencer.ts';
import { type KeptSealed, type LogLocation, LogService } from '../governance/log/service.ts';
import type { LogRecord } from '../governance/log/types.ts';
import { r2LogObjects } from './log-objects.ts';
import { durableObjectLogState } from './log-state.ts';

/** A call's value, or its refusal: errors do not cross between isolates with their code. */
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
  /** Undefined until first asked for, and again after keys that could not be read. */
  #service: Promise<LogService> | undefined;
  /** Whether an alarm is set, as far as this instance knows. */
  #isAlarmSet = false;
  #failures = 0;

  append(records: readonly LogRecord[]): Promise<Answer<void>> {
    return this.#answer((service) => service.append(records));
  }

  locate(receiptHash: Uint8Array<ArrayBuffer>, waitMs: number): Promise<Answer<LogLocation | undefined>> {
    return this.#answer((service) => service.locate(receiptHash, waitMs));
  }

  find(
    id: string,
  ): Promise<Answer<{ index: number; sealed: Uint8Array<ArrayBuffer> | undefined } | undefined>> {
    return this.#answer((service) => service.find(id));
  }

  kept(index: number): Promise<Answer<KeptSealed>> {
    return this.#answer((service) => service.kept(index));
  }

  cosign(note: string): Promise<Answer<void>> {
    return this.#answer((service) => service.cosign(note));
  }

  override async alarm(): Promise<void> {
    // An instance that begins with this alarm needs no other for what waits already.
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
    // Entries may wait from before this instance, whose alarm was lost with a failed write.
    const isWaiting = state.end() > (state.head()?.size ?? 0);
    this.#isAlarmSet ||= (await this.ctx.storage.getAlarm()) !== null;
    if (isWaiting && !this.#isAlarmSet) await this.#setAlarm(roundIntervalMs);
    return new LogService({
      state,
      sequencer: new Sequencer({ state, objects: r2LogObjects(RECORDS), ...keys }),
      clock: systemClock,
      // In the same turn as the entries' rows, so that both are written, or neither.
      schedule: () => void (this.#isAlarmSet || this.#setAlarm(roundIntervalMs)),
    });
  }

  #setAlarm(ms: number): Promise<void> {
    this.#isAlarmSet = true;
    return this.ctx.storage.setAlarm(Date.now() + ms);
  }
}
