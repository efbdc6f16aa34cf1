/** Processes, a meter, and a network between them that may lose, repeat and delay messages. */
import { LeaseBook } from '../../../src/governance/quota/lease-book.ts';
import {
  type MeterAnswer,
  type MeterRequest,
  settleAndLease,
  sweep,
} from '../../../src/governance/quota/meter-state.ts';
import { periodOf } from '../../../src/governance/quota/period.ts';
import type { GrantedUnits, Meters } from '../../../src/governance/quota/types.ts';
import type { Quota } from '../../../src/repository/terms.ts';
import { ManualClock } from '../../support/clock.ts';
import { memoryMeterStore } from '../../support/memory-meters.ts';

const meter = 'grant:g';

interface Message {
  readonly from: number;
  readonly request: MeterRequest;
  readonly resolve: (answer: MeterAnswer) => void;
  readonly reject: (error: Error) => void;
  /** Undefined until the message has reached the meter. */
  answer: MeterAnswer | undefined;
}

interface Process {
  meters: Meters;
  readonly clock: ManualClock;
  readonly skewMs: number;
  /** Counts restarts: a crashed process answers no request of its earlier life. */
  life: number;
}

interface Answer {
  readonly period: string;
  readonly units: number;
  readonly granted: GrantedUnits;
  isGivenBack: boolean;
}

export class Network {
  readonly answers: Answer[] = [];
  readonly #store = memoryMeterStore();
  readonly #quota: Quota;
  readonly #processes: Process[];
  readonly #messages: Message[] = [];
  readonly #seen: MeterRequest[] = [];
  #nowMs: number;
  refusals = 0;

  /** @param skews The clock skew of each process, in ms. */
  constructor(quota: Quota, nowMs: number, skews: readonly number[]) {
    this.#quota = quota;
    this.#nowMs = nowMs;
    this.#processes = skews.map((skewMs, at) => {
      const clock = new ManualClock();
      return { meters: this.#book(at, 0, clock), clock, skewMs, life: 0 };
    });
  }

  #book(from: number, life: number, clock: ManualClock): Meters {
    return new LeaseBook({
      clock,
      defer: () => {},
      name: () => `${from}.${life}`,
      exchange: (_, request) =>
        new Promise((resolve, reject) => {
          this.#messages.push({ from, request, resolve, reject, answer: undefined });
        }),
    });
  }

  /** Returns the units of the period's answers, without failed runs. */
  answered(period: string): number {
    return this.answers.reduce(
      (sum, answer) => (answer.period === period && !answer.isGivenBack ? sum + answer.units : sum),
      0,
    );
  }

  get periods(): ReadonlySet<string> {
    return new Set(this.answers.map(({ period }) => period));
  }

  /** Returns the units that the meter counts as leased or used. */
  taken(period: string): number {
    return this.#store.taken(period);
  }

  take(at: number, units: number): void {
    const process = this.#processes[at % this.#processes.length];
    if (process === undefined) return;
    const { life } = process;
    const atMs = this.#nowMs + process.skewMs;
    const period = periodOf(this.#quota.per, atMs).key;
    Promise.resolve(process.meters.take(meter, this.#quota, units, atMs)).then(
      (taken) => {
        if (process.life !== life) return;
        if (taken.granted) this.answers.push({ period, units, granted: taken, isGivenBack: false });
        else this.refusals += 1;
      },
      () => {},
    );
  }

  /** Fails a run, which returns its units twice. */
  fail(at: number): void {
    const answer = this.answers[at % Math.max(1, this.answers.length)];
    if (answer === undefined || answer.isGivenBack) return;
    answer.isGivenBack = true;
    answer.granted.giveBack();
    answer.granted.giveBack();
  }

  /** Moves a message one step: to the meter, or back. */
  deliver(at: number): void {
    const message = this.#messages[at % Math.max(1, this.#messages.length)];
    if (message === undefined) return;
    if (message.answer === undefined) {
      this.#seen.push(message.request);
      message.answer = this.#count(message.request);
      return;
    }
    this.#remove(message);
    message.resolve(message.answer);
  }

  /** Loses a message on the way there or back. The waiting process is told that it failed. */
  lose(at: number): void {
    const message = this.#messages[at % Math.max(1, this.#messages.length)];
    if (message === undefined) return;
    this.#remove(message);
    if (message.answer === undefined) this.#seen.push(message.request);
    message.reject(new Error('lost'));
  }

  /** Delivers a message to the meter again that was lost or has arrived already. */
  repeat(at: number): void {
    const request = this.#seen[at % Math.max(1, this.#seen.length)];
    if (request !== undefined) this.#count(request);
  }

  crash(at: number): void {
    const process = this.#processes[at % this.#processes.length];
    if (process === undefined) return;
    process.life += 1;
    process.meters = this.#book(at % this.#processes.length, process.life, process.clock);
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const { clock } of this.#processes) clock.advance(ms);
  }

  /** Runs until no message is under way and all unused units are returned. */
  async quiet(): Promise<void> {
    for (let round = 0; round < 4; round += 1) {
      while (this.#messages.length > 0) {
        this.deliver(0);
        await this.settle();
      }
      this.advance(16_000);
      await this.settle();
    }
  }

  /** Lets pending promises settle. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 12; turn += 1) await Promise.resolve();
  }

  #count(request: MeterRequest): MeterAnswer {
    sweep(this.#store, this.#nowMs);
    return settleAndLease(this.#store, request, this.#nowMs);
  }

  #remove(message: Message): void {
    this.#messages.splice(this.#messages.indexOf(message), 1);
  }
}
