/**
 * One task at a time, in the order of asking.
 *
 * Made for isolates whose requests may end in the middle of anything: on Cloudflare a request that is cancelled never
 * goes on, so a lock that it holds, or that is handed to it, would be lost. Here nothing is handed over. Each turn
 * watches the promise of the turn before it, and that promise settles when that turn leaves, or is rejected by the
 * runtime when the request that made it has ended ("This promise was created by a request that has since ended");
 * both ways it is out of the queue. So a dead request delays nobody, and a turn need not be handed to `waitUntil`.
 */
import { EdgewiseError } from '../errors.ts';
import { settledWithin, type WaitLimit } from './deadline.ts';

interface Turn {
  /** The promise of the whole turn; settles after it has left the queue. */
  left: Promise<unknown> | undefined;
}

export interface TurnLimit extends WaitLimit {
  /** What a turn that waited too long, or whose caller left, is rejected with. */
  readonly refusal: (outcome: 'expired' | 'aborted') => Error;
}

export class Mutex {
  /** The holder, then those that wait, the oldest first. */
  readonly #turns: Turn[] = [];

  /** The task at work and those that wait for it. */
  get size(): number {
    return this.#turns.length;
  }

  /**
   * Runs the task alone: at once where nothing else does, else when all that asked before have left. `limit` is asked
   * for only when the task has to wait.
   *
   * @throws the limit's refusal when the task could not begin within it; it will not begin later.
   */
  run<T>(task: () => Promise<T>, limit: () => TurnLimit): Promise<T> {
    const turn: Turn = { left: undefined };
    const result = this.#turns.push(turn) === 1 ? this.#alone(turn, task) : this.#queued(turn, task, limit());
    turn.left = result;
    return result;
  }

  /** Resolves when the turn that stands last now is out of the queue. */
  async drained(): Promise<void> {
    const last = this.#turns.at(-1);
    if (last === undefined) return;
    try {
      await last.left;
    } catch {
      // Its caller hears of it; here only that it is over.
    }
    this.#leave(last);
  }

  async #alone<T>(turn: Turn, task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } finally {
      this.#leave(turn);
    }
  }

  async #queued<T>(turn: Turn, task: () => Promise<T>, limit: TurnLimit): Promise<T> {
    try {
      const untilMs = limit.clock.now() + limit.ms;
      for (let ahead = this.#ahead(turn); ahead !== undefined; ahead = this.#ahead(turn)) {
        if (ahead.left === undefined) throw new EdgewiseError('internal', 'a task asked for its own turn');
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
