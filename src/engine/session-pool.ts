/**
 * The sessions that one isolate holds, by the model's key.
 *
 * - A model is loaded once however many ask: the load is the first turn in its session's queue, and those that ask
 *   stand behind it. The load is handed to `defer` whole, so that it outlives the request that began it. Should it be
 *   cut off all the same, the next in the queue loads anew (`async/mutex.ts` says how it comes to know).
 * - Loads follow one another: engines suspend a create while weights arrive and cannot nest two of them, and room is
 *   then made for one model at a time.
 * - Runs of one session follow one another. A session with anybody in its queue is never released, so that whoever
 *   waits for a load also gets the run.
 */
import type { Clock } from '../async/clock.ts';
import { settledWithin } from '../async/deadline.ts';
import { Lru } from '../async/lru.ts';
import { Mutex, type TurnLimit } from '../async/mutex.ts';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import type { Engine, Feeds, Fetches, ModelSource, Session } from './types.ts';

export interface PoolModel {
  /** Digest of the manifest: what it names never changes. */
  readonly key: string;
  /** Expected memory of the session. */
  readonly bytes: number;
  load(): Promise<ModelSource>;
}

export interface RunTimings {
  /** Time spent on the model's load; 0 where it was loaded already. */
  readonly loadMs: number;
  readonly queueMs: number;
  readonly runMs: number;
  /** Whether the model was not loaded when this run was asked for. */
  readonly cold: boolean;
}

export interface RunOptions {
  /** A caller that leaves before its run began takes the run with it; a run that has begun ends in its own time. */
  readonly signal?: AbortSignal | undefined;
  /** From now; the run must have begun by then. */
  readonly deadlineMs?: number | undefined;
}

export interface RunResult {
  readonly outputs: Fetches;
  readonly timings: RunTimings;
}

export interface SessionPoolOptions {
  readonly engine: Engine;
  /** What the sessions may take together, by their expected bytes. */
  readonly budgetBytes: number;
  readonly clock: Clock;
  /** Keeps the current request alive until the promise settles: `ctx.waitUntil`. The promise never rejects. */
  readonly defer: (work: Promise<unknown>) => void;
  /** Longest wait for a loaded session, and for room. */
  readonly waitTimeoutMs: number;
  /** Longest wait for a session that is not loaded yet, and for a model's source. */
  readonly loadTimeoutMs: number;
  /** Runs that may wait for one session; at least 1. */
  readonly maxQueuePerSession: number;
}

export interface PoolSnapshot {
  readonly bytes: number;
  readonly budgetBytes: number;
  /** The least recently used first. `queued` counts the run (or load) at work too. */
  readonly sessions: readonly {
    readonly key: string;
    readonly bytes: number;
    readonly ready: boolean;
    readonly queued: number;
  }[];
  /** Since the start: sessions made, loads that failed, sessions released. */
  readonly loads: number;
  readonly failedLoads: number;
  readonly releases: number;
}

interface Entry {
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

/** `cold`: the session was not loaded when it was asked for. */
type Task<T> = (entry: Entry, session: Session, cold: boolean) => Promise<T>;

/** What a turn comes to when its session went away before it. */
const lost = Symbol('lost');

export class SessionPool {
  readonly #options: SessionPoolOptions;
  /** All that is loaded or being loaded. An entry weighs nothing until room has been made for it. */
  readonly #entries: Lru<string, Entry>;
  readonly #loading = new Mutex();
  #loads = 0;
  #failedLoads = 0;
  #releases = 0;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
    this.#entries = new Lru({ maxBytes: options.budgetBytes });
  }

  /**
   * Loads the model where it is not loaded, waits for its session, runs it.
   *
   * @throws EdgewiseError what the load or the run throws; `no_capacity` when there is no room for the model;
   * `overloaded` when the queue is full or the wait was too long; `model_not_ready` when the load was too long;
   * `deadline_exceeded` when the caller's deadline passed, or its signal was aborted, before the run began.
   */
  async run(
    model: PoolModel,
    feeds: Feeds,
    fetches: readonly string[] | undefined,
    options: RunOptions = {},
  ): Promise<RunResult> {
    const { clock } = this.#options;
    const askedMs = clock.now();
    return this.#visit(model, options, askedMs, async (entry, session, cold) => {
      const begunMs = clock.now();
      const outputs = await this.#infer(entry, session, feeds, fetches);
      const loadMs = cold ? Math.max(0, entry.loadedAtMs - askedMs) : 0;
      const queueMs = begunMs - askedMs - loadMs;
      return { outputs, timings: { loadMs, queueMs, runMs: clock.now() - begunMs, cold } };
    });
  }

  /** Loads the model where it is not loaded. Throws what `run` throws before the run. */
  async warm(model: PoolModel): Promise<void> {
    if (this.has(model.key)) return;
    await this.#visit(model, {}, this.#options.clock.now(), async () => undefined);
  }

  /**
   * Releases the model's session once those that wait for it now have had their runs.
   *
   * @throws EdgewiseError `overloaded` when they took too long; the session stays.
   */
  async evict(key: string): Promise<void> {
    const entry = this.#entries.peek(key);
    if (entry === undefined) return;
    await entry.queue.run(
      () => this.#release(entry),
      () => this.#limit(entry, {}, this.#options.clock.now()),
    );
  }

  has(key: string): boolean {
    return this.#entries.peek(key)?.session !== undefined;
  }

  snapshot(): PoolSnapshot {
    return {
      bytes: this.#entries.bytes,
      budgetBytes: this.#options.budgetBytes,
      sessions: [...this.#entries].map(([key, { model, queue, session }]) => ({
        key,
        bytes: model.bytes,
        ready: session !== undefined,
        queued: queue.size,
      })),
      loads: this.#loads,
      failedLoads: this.#failedLoads,
      releases: this.#releases,
    };
  }

  /** Gives the task its turn at the model's session; again where the session went away while it waited. */
  async #visit<T>(model: PoolModel, options: RunOptions, askedMs: number, task: Task<T>): Promise<T> {
    let cold = false;
    for (;;) {
      if (options.signal?.aborted) throw cancelled(model, options);
      const entry = this.#entries.get(model.key) ?? this.#begin(model);
      if (entry.session === undefined) cold = true;
      if (entry.queue.size > this.#options.maxQueuePerSession) {
        throw new EdgewiseError(
          'overloaded',
          `${model.key}: ${entry.queue.size} requests wait for the model`,
          {
            retryAfterSeconds: 1,
          },
        );
      }
      const result = await entry.queue.run(
        () => this.#turn(entry, options, cold, task),
        () => this.#limit(entry, options, askedMs),
      );
      if (result !== lost) return result;
    }
  }

  async #turn<T>(entry: Entry, options: RunOptions, cold: boolean, task: Task<T>): Promise<T | typeof lost> {
    if (entry.failure !== undefined) throw entry.failure;
    if (entry.gone) return lost;
    if (entry.running) {
      // The run before was cut off with its request: it will never go on, and what it left behind in the session is
      // unknown.
      await this.#release(entry);
      return lost;
    }
    // No session and no failure: the load was cut off. It is begun anew, once.
    const session = entry.session ?? (await this.#deferred(this.#load(entry)));
    if (options.signal?.aborted) throw cancelled(entry.model, options);
    return task(entry, session, cold);
  }

  async #infer(
    entry: Entry,
    session: Session,
    feeds: Feeds,
    fetches: readonly string[] | undefined,
  ): Promise<Fetches> {
    entry.running = true;
    try {
      return await session.run(feeds, fetches);
    } catch (error) {
      const code = isEdgewiseError(error) ? error.code : 'internal';
      // Out of memory leaves the session whole (an allocation failed inside one run, which unwound), and so do feeds
      // that the graph refuses. After anything else nobody knows: a session made anew is cheaper than wrong answers.
      if (code === 'internal') await this.#release(entry);
      if (code === 'no_capacity' && (await this.#releaseIdle())) return await session.run(feeds, fetches);
      throw error;
    } finally {
      entry.running = false;
    }
  }

  #begin(model: PoolModel): Entry {
    const { budgetBytes } = this.#options;
    if (model.bytes > budgetBytes) {
      throw new EdgewiseError(
        'no_capacity',
        `${model.key} needs ${model.bytes} bytes of memory: wanted at most ${budgetBytes}`,
      );
    }
    const entry: Entry = {
      model,
      queue: new Mutex(),
      session: undefined,
      loadedAtMs: 0,
      failure: undefined,
      gone: false,
      running: false,
    };
    this.#entries.set(model.key, entry, 0);
    void this.#deferred(
      entry.queue.run(
        () => this.#load(entry),
        () => this.#limit(entry, {}, this.#options.clock.now()),
      ),
    );
    return entry;
  }

  async #load(entry: Entry): Promise<Session> {
    const { model } = entry;
    const { clock, loadTimeoutMs } = this.#options;
    try {
      const session = await this.#loading.run(
        () => this.#create(entry),
        () => ({ clock, ms: loadTimeoutMs, refusal: () => slowLoad(model) }),
      );
      entry.session = session;
      entry.loadedAtMs = clock.now();
      this.#loads += 1;
      return session;
    } catch (error) {
      entry.failure = error;
      this.#entries.delete(model.key);
      this.#failedLoads += 1;
      throw error;
    }
  }

  async #create(entry: Entry): Promise<Session> {
    const { model } = entry;
    const { clock, engine, loadTimeoutMs } = this.#options;
    // A load that was cut off may have left its weight behind.
    this.#entries.set(model.key, entry, 0);
    await this.#makeRoom(model);
    this.#entries.set(model.key, entry, model.bytes);
    const loading = model.load();
    if ((await settledWithin(loading, { clock, ms: loadTimeoutMs })) !== 'settled') throw slowLoad(model);
    const source = await loading;
    try {
      return await engine.createSession(source);
    } catch (error) {
      // Expected bytes are estimates, and the heap is in pieces: all that can go goes, and once more.
      if (!isEdgewiseError(error) || error.code !== 'no_capacity' || !(await this.#releaseIdle()))
        throw error;
      return await engine.createSession(source);
    }
  }

  /** Releases idle sessions, the least recently used first, until the model fits; waits where all are busy. */
  async #makeRoom(model: PoolModel): Promise<void> {
    const { budgetBytes, clock, waitTimeoutMs } = this.#options;
    const untilMs = clock.now() + waitTimeoutMs;
    while (this.#entries.bytes + model.bytes > budgetBytes) {
      const idle = this.#oldestIdle();
      if (idle !== undefined) {
        await this.#release(idle);
        continue;
      }
      const drained = [...this.#entries]
        .filter(([key]) => key !== model.key)
        .map(([, entry]) => entry.queue.drained());
      const outcome = await settledWithin(Promise.race(drained), { clock, ms: untilMs - clock.now() });
      if (outcome !== 'settled') {
        throw new EdgewiseError('no_capacity', `no room for ${model.key}: all sessions are at work`, {
          retryAfterSeconds: 1,
        });
      }
    }
  }

  #oldestIdle(): Entry | undefined {
    for (const [, entry] of this.#entries) if (entry.queue.size === 0) return entry;
    return undefined;
  }

  /** @returns whether there was any. */
  async #releaseIdle(): Promise<boolean> {
    let any = false;
    for (let idle = this.#oldestIdle(); idle !== undefined; idle = this.#oldestIdle()) {
      any = true;
      await this.#release(idle);
    }
    return any;
  }

  /** The one place where sessions are released; by whoever has the entry's turn, or when nobody stands in its queue. */
  async #release(entry: Entry): Promise<void> {
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

  /** Hands work to `defer`, so that it outlives the request that began it. */
  #deferred<T>(work: Promise<T>): Promise<T> {
    this.#options.defer(
      work.then(
        () => undefined,
        () => undefined,
      ),
    );
    return work;
  }

  #limit(entry: Entry, options: RunOptions, askedMs: number): TurnLimit {
    const { clock, loadTimeoutMs, waitTimeoutMs } = this.#options;
    const patienceMs = entry.session === undefined ? loadTimeoutMs : waitTimeoutMs;
    const deadlineMs = options.deadlineMs ?? Number.POSITIVE_INFINITY;
    return {
      clock,
      ms: Math.min(patienceMs, deadlineMs) - (clock.now() - askedMs),
      signal: options.signal,
      refusal: (outcome) => {
        if (outcome === 'aborted') return cancelled(entry.model, options);
        if (deadlineMs < patienceMs) return late(entry.model, deadlineMs);
        return entry.session === undefined ? slowLoad(entry.model) : busy(entry.model);
      },
    };
  }
}

function cancelled(model: PoolModel, options: RunOptions): EdgewiseError {
  return new EdgewiseError('deadline_exceeded', `the caller left before the run of ${model.key} began`, {
    cause: options.signal?.reason,
  });
}

function late(model: PoolModel, deadlineMs: number): EdgewiseError {
  return new EdgewiseError(
    'deadline_exceeded',
    `the run of ${model.key} did not begin within ${deadlineMs} ms`,
  );
}

function slowLoad(model: PoolModel): EdgewiseError {
  return new EdgewiseError('model_not_ready', `${model.key} is still being loaded`, { retryAfterSeconds: 2 });
}

function busy(model: PoolModel): EdgewiseError {
  return new EdgewiseError('overloaded', `${model.key} is busy: the wait for it was too long`, {
    retryAfterSeconds: 1,
  });
}
