/**
 * Which sessions an isolate holds, by their expected bytes, and which go when room is wanted. A session is released by
 * whoever has the turn in its queue, or when nobody stands there; never under anybody's hands.
 */
import type { Clock } from '../async/clock.ts';
import { settledWithin } from '../async/deadline.ts';
import { Lru } from '../async/lru.ts';
import { Mutex } from '../async/mutex.ts';
import { EdgewiseError } from '../errors.ts';
import type { ModelSource, Session } from './types.ts';

export interface PoolModel {
  /** Digest of the manifest: what it names never changes. */
  readonly key: string;
  readonly name: string;
  readonly version: string;
  /** Expected memory of the session. */
  readonly bytes: number;
  /** What its largest run takes beyond that, and gives back. Default 0. */
  readonly scratchBytes?: number;
  load(): Promise<ModelSource>;
}

export interface ShelfEntry {
  readonly model: PoolModel;
  readonly queue: Mutex;
  session: Session | undefined;
  loadedAtMs: number;
  /** Why the load failed; the entry is out of the pool then. */
  failure: unknown;
  /** Released and out of the pool: whoever still waits for it starts again. */
  gone: boolean;
  running: boolean;
}

export interface SessionShelfOptions {
  readonly budgetBytes: number;
  readonly clock: Clock;
  /** Longest wait for room. */
  readonly waitTimeoutMs: number;
}

export class SessionShelf {
  readonly #options: SessionShelfOptions;
  /** All that is loaded or being loaded. An entry weighs nothing until room has been made for it. */
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

  /** The model's entry, which becomes the most recently used one. */
  get(key: string): ShelfEntry | undefined {
    return this.#entries.get(key);
  }

  /** The model's entry, its age unchanged. */
  peek(key: string): ShelfEntry | undefined {
    return this.#entries.peek(key);
  }

  /** The least recently used first. */
  *entries(): Iterable<ShelfEntry> {
    for (const [, entry] of this.#entries) yield entry;
  }

  /** A new entry, without a session and without weight. */
  add(model: PoolModel): ShelfEntry {
    const entry: ShelfEntry = {
      model,
      queue: new Mutex(),
      session: undefined,
      loadedAtMs: 0,
      failure: undefined,
      gone: false,
      running: false,
    };
    this.#entries.set(model.key, entry, 0);
    return entry;
  }

  /** Takes an entry away whose load failed. */
  fail(entry: ShelfEntry, error: unknown): void {
    entry.failure = error;
    this.#entries.delete(entry.model.key);
  }

  /**
   * Gives the entry its weight, and room for it: idle sessions are released, the least recently used first, until it
   * fits. Where those that are left are all busy, waits for them.
   *
   * @throws EdgewiseError `no_capacity` when they took too long.
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
          'no room for the model: those that are loaded are all at work',
          {
            retryAfterSeconds: 1,
          },
        );
      }
    }
    this.#entries.set(model.key, entry, model.bytes);
  }

  /** Releases all sessions that are idle, and says whether there was any. */
  async releaseIdle(): Promise<boolean> {
    let any = false;
    for (let idle = this.#oldestIdle(); idle !== undefined; idle = this.#oldestIdle()) {
      any = true;
      await this.release(idle);
    }
    return any;
  }

  /** Idempotent. For whoever has the turn in the entry's queue. */
  async release(entry: ShelfEntry): Promise<void> {
    if (entry.gone || entry.failure !== undefined) return;
    entry.gone = true;
    this.#entries.delete(entry.model.key);
    const { session } = entry;
    entry.session = undefined;
    if (session === undefined) return;
    this.#releases += 1;
    try {
      await session.release();
    } catch {
      // Nothing is left to do for this session; memory that stays taken shows in the engine's own figures.
    }
  }

  /** Runs follow one another on the engine's one thread, so the largest scratch serves them all. */
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
