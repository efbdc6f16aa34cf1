/** Runs a loaded session and decides what a failed run means for the session. */
import { Lru } from '../async/lru.ts';
import { SessionLostError } from './session-lost.ts';
import { codeOf, engineStoppedError } from './session-pool-errors.ts';
import type { SessionShelf, ShelfEntry } from './session-shelf.ts';
import type { StoppedModels } from './stopped-models.ts';
import type { Feeds, Fetches, Session } from './types.ts';

/** Result of a turn or run whose session disappeared before it began: the request starts over. */
export const lost = Symbol('lost');

/** Models whose longest run is remembered. */
const maxRemembered = 1024;

export class SessionRunner {
  readonly #shelf: SessionShelf;
  readonly #stopped: StoppedModels;
  /** Model key → duration of its longest successful run, if the engine reports durations. */
  readonly #longestMs = new Lru<string, number>({ maxBytes: maxRemembered });

  constructor(shelf: SessionShelf, stopped: StoppedModels) {
    this.#shelf = shelf;
    this.#stopped = stopped;
  }

  /**
   * Runs the session. The caller has the turn in the entry's queue.
   *
   * @returns `lost` if another run ended the engine, so that this one may be repeated on a new session.
   */
  async run(
    entry: ShelfEntry,
    session: Session,
    feeds: Feeds,
    fetches: readonly string[] | undefined,
    remainingMs: number | undefined,
  ): Promise<Fetches | typeof lost> {
    const { key } = entry.model;
    const longestMs = this.#longestMs.get(key);
    const limits = { remainingMs, longestMs, onRan: (ms: number) => this.#recordDuration(key, ms) };
    entry.isRunning = true;
    try {
      return await session.run(feeds, fetches, limits);
    } catch (error) {
      try {
        if (error instanceof SessionLostError) throw error;
        return await this.#recover(entry, error, () => session.run(feeds, fetches, limits));
      } catch (last) {
        if (last instanceof SessionLostError) return await this.#lose(entry, last);
        throw last;
      }
    } finally {
      entry.isRunning = false;
    }
  }

  #recordDuration(key: string, ms: number): void {
    if (ms > (this.#longestMs.peek(key) ?? -1)) this.#longestMs.set(key, ms, 1);
  }

  /** Repeats a run that ran out of memory once idle sessions are released. Drops a session that cannot be trusted. */
  async #recover(entry: ShelfEntry, failure: unknown, repeat: () => Promise<Fetches>): Promise<Fetches> {
    let error = failure;
    if (codeOf(error) === 'no_capacity' && (await this.#shelf.releaseIdle())) {
      try {
        return await repeat();
      } catch (second) {
        error = second;
      }
    }
    // Running out of memory leaves the session intact (an allocation failed inside one run, which unwound), and so do
    // feeds that the graph rejects. After any other failure its state is unknown: a new session is cheaper than wrong
    // answers.
    if (codeOf(error) === 'internal') await this.#shelf.release(entry);
    throw error;
  }

  /** Drops the session of an engine that ended. Returns `lost` if the run may be repeated. */
  async #lose(entry: ShelfEntry, cause: SessionLostError): Promise<typeof lost> {
    await this.#shelf.release(entry);
    if (!cause.isCulprit) return lost;
    this.#stopped.add(entry.model, cause);
    throw engineStoppedError(cause);
  }
}
