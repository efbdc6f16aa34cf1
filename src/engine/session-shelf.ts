/**
 * Holds an isolate's sessions within a budget of expected bytes, and evicts idle ones to make room. A session is released
 * only by the task that has the turn in its queue, or while its queue is empty, so never during a run.
 */
import type { Clock } from '../async/clock.ts';
import { settledWithin } from '../async/deadline.ts';
import { Lru } from '../async/lru.ts';
import { Mutex } from '../async/mutex.ts';
import { EdgewiseError } from '../errors.ts';
import type { ModelSource, Session } from './types.ts';

export interface PoolModel {
  /** Digest of the manifest, which is immutable. */
  readonly key: string;
  readonly name: string;
  readonly version: string;
  /** Expected memory of the session. */
  readonly bytes: number;
  /** Extra memory of the largest run, freed when the run ends. Default 0. */
  readonly scratchBytes?: number;
  load(): Promise<ModelSource>;
}

export interface ShelfEntry {
  readonly model: PoolModel;
  readonly queue: Mutex;
  session: Session | undefined;
  loadedAtMs: number;
  /** Why the load failed; the entry has then left the pool. */
  failure: unknown;
  /** True once released and removed from the pool: tasks in its queue start over with a new entry. */
  isGone: boolean;
  /** True during a run. Still true at the next turn if the run's request was cut off. */
  isRunning: boolean;
}

export interface SessionShelfOptions {
  readonly budgetBytes: number;
  readonly clock: Clock;
  /** Longest wait until there is room for a session. */
  readonly waitTimeoutMs: number;
}

export class SessionShelf {
  readonly #options: SessionShelfOptions;
  /** Sessions that are loaded or being loaded. An entry weighs 0 until there is room for it. */
  readonly #entries: Lru<string, ShelfEntry>;
  #releases = 0;

  constructor(options: SessionShelfOptions) {
    this.#options = options;
    this.#entries = new Lru({ maxBytes: options.budgetBytes });
  }

  get bytes(): number {
    return this.#entries.bytes;
  }

  /** Sessions released since the start. */
  get releases(): number {
    return this.#releases;
  }

  /** Returns the model's entry and makes it the most recently used one. */
  get(key: string): ShelfEntry | undefined {
    return this.#entries.get(key);
  }

  /** Returns the model's entry without changing its age. */
  peek(key: string): ShelfEntry | undefined {
    return this.#entries.peek(key);
  }

  /** Yields the entries, the least recently used first. */
  *entries(): Iterable<ShelfEntry> {
    for (const [, entry] of this.#entries) yield entry;
  }

  /** Adds an entry without a session and with weight 0. */
  add(model: PoolModel): ShelfEntry {
    const entry: ShelfEntry = {
      model,
      queue: new Mutex(),
      session: undefined,
      loadedAtMs: 0,
      failure: undefined,
      isGone: false,
      isRunning: false,
    };
    this.#entries.set(model.key, entry, 0);
    return entry;
  }

  /** Removes an entry whose load failed. */
  fail(entry: ShelfEntry, error: unknown): void {
    entry.failure = error;
    this.#entries.delete(entry.model.key);
  }

  /**
   * Makes room for the entry's session and gives the entry its weight. Releases idle sessions, the least recently used
   * first, until it fits; if all sessions left are busy, waits for them.
   *
   * @throws EdgewiseError `no_capacity` if there is still no room after `waitTimeoutMs`.
   */
  async makeRoom(entry: ShelfEntry): Promise<void> {
    const { model } = entry;
    const { budgetBytes, clock, waitTimeoutMs } = this.#options;
    const untilMs = clock.now() + waitTimeoutMs;
    // A load that was cut off may have left its weight behind.
    this.#entries.set(model.key, entry, 0);
    while (this.#entries.bytes + model.bytes + this.#scratchBytes() > budgetBytes) {
      const idle = this.#oldestIdle();
      if (idle !== undefined) {
        await this.release(idle);
        continue;
      }
      const others = [...this.entries()].filter((other) => other !== entry);
      const drained = Promise.race(others.map(({ queue }) => queue.drained()));
      if ((await settledWithin(drained, { clock, ms: untilMs - clock.now() })) !== 'settled') {
        throw new EdgewiseError(
          'no_capacity',
          'there is no memory for the model: all loaded models are busy; try again later',
          { retryAfterSeconds: 1 },
        );
      }
    }
    this.#entries.set(model.key, entry, model.bytes);
  }

  /** Releases all idle sessions. Returns whether there was one. */
  async releaseIdle(): Promise<boolean> {
    let any = false;
    for (let idle = this.#oldestIdle(); idle !== undefined; idle = this.#oldestIdle()) {
      any = true;
      await this.release(idle);
    }
    return any;
  }

  /** Releases the entry's session. Idempotent. The caller must have the turn in the entry's queue, or the queue is empty. */
  async release(entry: ShelfEntry): Promise<void> {
    if (entry.isGone || entry.failure !== undefined) return;
    entry.isGone = true;
    this.#entries.delete(entry.model.key);
    const { session } = entry;
    entry.session = undefined;
    if (session === undefined) return;
    this.#releases += 1;
    try {
      await session.release();
    } catch {
      // Nothing more can be done for this session. Memory that it still holds shows in the engine's own figures.
    }
  }

  /** The engine runs one model at a time, so the largest scratch of all models is enough. */
  #scratchBytes(): number {
    let largest = 0;
    for (const { model } of this.entries()) largest = Math.max(largest, model.scratchBytes ?? 0);
    return largest;
  }

  #oldestIdle(): ShelfEntry | undefined {
    for (const entry of this.entries()) if (entry.queue.size === 0) return entry;
    return undefined;
  }
}
