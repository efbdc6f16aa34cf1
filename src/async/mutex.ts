/**
 * Runs one task at a time, in the order of the calls.
 *
 * Made for isolates whose requests may end at any point: on Cloudflare a cancelled request never resumes, so a lock that it
 * holds, or that is handed to it, would be lost. This mutex hands nothing over. Each turn watches the promise of the turn
 * before it. That promise settles when the turn leaves, or is rejected by the runtime when its request has ended ("This
 * promise was created by a request that has since ended"); either way the turn is out of the queue. So a dead request delays
 * no other, and a turn need not be handed to `waitUntil`.
 */
import { EdgewiseError } from '../errors.ts';
import { settledWithin, type WaitLimit } from './deadline.ts';

interface Turn {
  /** The promise of the whole turn; settles after the turn has left the queue. */
  left: Promise<unknown> | undefined;
}

export interface TurnLimit extends WaitLimit {
  /** Returns the error of a turn that waited too long, or whose caller left. */
  readonly refusal: (outcome: 'expired' | 'aborted') => Error;
}

export class Mutex {
  /** The running turn, then the waiting turns, the oldest first. */
  readonly #turns: Turn[] = [];

  /** Number of tasks that run or wait. */
  get size(): number {
    return this.#turns.length;
  }

  /**
   * Runs the task alone, once all earlier tasks have left. `limit` is called only if the task has to wait.
   *
   * @throws the limit's refusal if the task could not begin within the limit; it then never runs. EdgewiseError `internal` for a
   * task that asks for the mutex before its own first `await`.
   */
  run<T>(task: () => Promise<T>, limit: () => TurnLimit): Promise<T> {
    const turn: Turn = { left: undefined };
    const result =
      this.#turns.push(turn) === 1 ? this.#runNow(turn, task) : this.#waitAndRun(turn, task, limit());
    turn.left = result;
    return result;
  }

  /** Resolves when the turn that is last now has left the queue. */
  async drained(): Promise<void> {
    const last = this.#turns.at(-1);
    if (last === undefined) return;
    try {
      await last.left;
    } catch {
      // The error goes to the turn's caller.
    }
    this.#leave(last);
  }

  async #runNow<T>(turn: Turn, task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } finally {
      this.#leave(turn);
    }
  }

  async #waitAndRun<T>(turn: Turn, task: () => Promise<T>, limit: TurnLimit): Promise<T> {
    try {
      const untilMs = limit.clock.now() + limit.ms;
      for (let ahead = this.#ahead(turn); ahead !== undefined; ahead = this.#ahead(turn)) {
        if (ahead.left === undefined)
          throw new EdgewiseError(
            'internal',
            'a task waits for its own turn: it asked for the mutex that it holds',
          );
        const outcome = await settledWithin(ahead.left, { ...limit, ms: untilMs - limit.clock.now() });
        if (outcome !== 'settled') throw limit.refusal(outcome);
        this.#leave(ahead);
      }
      return await task();
    } finally {
      this.#leave(turn);
    }
  }

  #ahead(turn: Turn): Turn | undefined {
    return this.#turns[this.#turns.indexOf(turn) - 1];
  }

  #leave(turn: Turn): void {
    const index = this.#turns.indexOf(turn);
    if (index >= 0) this.#turns.splice(index, 1);
  }
}
