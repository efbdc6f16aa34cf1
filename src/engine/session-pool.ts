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
import { EdgewiseError } from '../errors.ts';
import { SessionLostError } from './session-lost.ts';
import {
  busy,
  cancelled,
  codeOf,
  late,
  loadError,
  restarting,
  slowLoad,
  stopped,
} from './session-pool-errors.ts';
import { type PoolModel, SessionShelf, type ShelfEntry } from './session-shelf.ts';
import { type StoppedModel, StoppedModels } from './stopped-models.ts';
import type {
  Engine,
  Feeds,
  Fetches,
  ModelSource,
  RunLimits,
  RunOptions,
  RunResult,
  Session,
} from './types.ts';

export type { PoolModel };

export interface SessionPoolOptions {
  readonly engine: Engine;
  /** What the sessions may take together, by their expected bytes. */
  readonly budgetBytes: number;
  readonly clock: Clock;
  /** Keeps the current request alive until the promise settles: `ctx.waitUntil`. The promise never rejects. */
  readonly defer: (work: Promise<void>) => void;
  /** Longest wait for a loaded session, and for room. */
  readonly waitTimeoutMs: number;
  /** Longest wait for a session that is not loaded yet, and for a model's source. */
  readonly loadTimeoutMs: number;
  /** Runs that may wait for one session; at least 1. */
  readonly maxQueuePerSession: number;
  /** Told when a model stopped the engine, and how: for the log. */
  readonly onStopped?: ((model: StoppedModel, cause: SessionLostError) => void) | undefined;
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
  /** Since the start: how often a model stopped the engine, and the models that did. */
  readonly engineStops: number;
  readonly stopped: readonly StoppedModel[];
}

/** Models of which it is remembered how long they take. */
const maxRemembered = 1024;
/** How often a request is begun anew because another one's run ended the engine. */
const maxLosses = 3;

/** `cold`: the session was not loaded when it was asked for. */
type Task<T> = (entry: ShelfEntry, session: Session, cold: boolean) => Promise<T | typeof lost>;

/** What a turn comes to when its session went away before it. */
const lost = Symbol('lost');

export class SessionPool {
  readonly #options: SessionPoolOptions;
  readonly #shelf: SessionShelf;
  readonly #loading = new Mutex();
  readonly #stopped = new StoppedModels();
  /** By the model's key: what its longest run took that ended well, where the engine says so. */
  readonly #longestMs = new Lru<string, number>({ maxBytes: maxRemembered });
  #loads = 0;
  #failedLoads = 0;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
    this.#shelf = new SessionShelf(options);
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
    let hasBegun = false;
    let losses = 0;
    return this.#visit(model, options, askedMs, async (entry, session, cold) => {
      const begunMs = clock.now();
      if (!hasBegun) options.onBegin?.();
      hasBegun = true;
      const remainingMs = options.totalMs === undefined ? undefined : options.totalMs - (begunMs - askedMs);
      const longestMs = this.#longestMs.get(model.key);
      const onRan = (ms: number) => this.#learn(model.key, ms);
      const limits = { remainingMs, longestMs, onRan };
      const outputs = await this.#infer(entry, session, feeds, fetches, limits);
      if (outputs === lost) {
        losses += 1;
        if (losses > maxLosses) throw restarting();
        return lost;
      }
      const loadMs = cold ? Math.max(0, entry.loadedAtMs - askedMs) : 0;
      const queueMs = begunMs - askedMs - loadMs;
      const { runtime } = session;
      return { outputs, runtime, timings: { loadMs, queueMs, runMs: clock.now() - begunMs, cold } };
    });
  }

  /** Loads the model where it is not loaded. Throws what `run` throws before the run. */
  async warm(model: PoolModel): Promise<void> {
    if (this.has(model.key)) return;
    await this.#visit(model, {}, this.#options.clock.now(), async () => undefined);
  }

  /** Whether the engine can compute now: no run takes longer than its time, and none has just ended it. */
  isAvailable(): boolean {
    return this.#options.engine.isAvailable?.() ?? true;
  }

  /** @throws EdgewiseError `model_not_ready` where the model is kept out because it stopped the engine. */
  checkKeptOut(key: string): void {
    this.#stopped.check(key);
  }

  /** Lets a model in that was kept out because it stopped the engine. */
  letIn(name: string): void {
    this.#stopped.letIn(name);
  }

  /**
   * Releases the model's session once those that wait for it now have had their runs.
   *
   * @throws EdgewiseError `overloaded` when they took too long; the session stays.
   */
  async evict(key: string): Promise<void> {
    const entry = this.#shelf.peek(key);
    if (entry === undefined) return;
    await entry.queue.run(
      () => this.#shelf.release(entry),
      () => this.#limit(entry, {}, this.#options.clock.now()),
    );
  }

  has(key: string): boolean {
    return this.#shelf.peek(key)?.session !== undefined;
  }

  /** Whether a run asked for now would have to wait: for the model's load, or for others. */
  waits(key: string): boolean {
    const entry = this.#shelf.peek(key);
    return entry?.session === undefined || entry.queue.size > 0;
  }

  snapshot(): PoolSnapshot {
    return {
      bytes: this.#shelf.bytes,
      budgetBytes: this.#options.budgetBytes,
      sessions: [...this.#shelf.entries()].map(({ model, queue, session }) => ({
        key: model.key,
        bytes: model.bytes,
        ready: session !== undefined,
        queued: queue.size,
      })),
      loads: this.#loads,
      failedLoads: this.#failedLoads,
      releases: this.#shelf.releases,
      engineStops: this.#stopped.stops,
      stopped: this.#stopped.list(),
    };
  }

  /** Gives the task its turn at the model's session; again where the session went away while it waited. */
  async #visit<T>(model: PoolModel, options: RunOptions, askedMs: number, task: Task<T>): Promise<T> {
    let cold = false;
    for (;;) {
      this.#stopped.check(model.key);
      if (options.signal?.aborted) throw cancelled(options);
      const entry = this.#shelf.get(model.key) ?? this.#begin(model);
      if (entry.session === undefined) cold = true;
      if (entry.queue.size > this.#options.maxQueuePerSession) {
        throw new EdgewiseError('overloaded', `${entry.queue.size} requests wait for the model already`, {
          retryAfterSeconds: 1,
        });
      }
      const result = await entry.queue.run(
        () => this.#turn(entry, model, options, cold, task),
        () => this.#limit(entry, options, askedMs),
      );
      if (result !== lost) return result;
    }
  }

  async #turn<T>(
    entry: ShelfEntry,
    model: PoolModel,
    options: RunOptions,
    cold: boolean,
    task: Task<T>,
  ): Promise<T | typeof lost> {
    if (entry.failure !== undefined) throw entry.failure;
    if (entry.gone) return lost;
    if (entry.running) {
      // The run before was cut off with its request: it will never go on, and what it left behind in the session is
      // unknown.
      await this.#shelf.release(entry);
      return lost;
    }
    // No session and no failure: the load was cut off. It is begun anew, once, and not with the ended request's means.
    const session = entry.session ?? (await this.#deferred(this.#load(entry, model)));
    if (options.signal?.aborted) throw cancelled(options);
    return task(entry, session, cold);
  }

  async #infer(
    entry: ShelfEntry,
    session: Session,
    feeds: Feeds,
    fetches: readonly string[] | undefined,
    limits: RunLimits,
  ): Promise<Fetches | typeof lost> {
    entry.running = true;
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
      entry.running = false;
    }
  }

  /** After the end of the engine: `lost` for a run that may be made again. */
  async #lose(entry: ShelfEntry, cause: SessionLostError): Promise<typeof lost> {
    await this.#shelf.release(entry);
    if (!cause.isCulprit) return lost;
    this.#stop(entry.model, cause);
    throw stopped(cause);
  }

  #learn(key: string, ms: number): void {
    if (ms > (this.#longestMs.peek(key) ?? -1)) this.#longestMs.set(key, ms, 1);
  }

  #stop(model: PoolModel, cause: SessionLostError): void {
    this.#options.onStopped?.(this.#stopped.add(model, this.#options.clock.now()), cause);
  }

  /** After a failed run: once more where memory was short and can be had, else a session that can be trusted. */
  async #recover(entry: ShelfEntry, failure: unknown, again: () => Promise<Fetches>): Promise<Fetches> {
    let error = failure;
    if (codeOf(error) === 'no_capacity' && (await this.#shelf.releaseIdle())) {
      try {
        return await again();
      } catch (second) {
        error = second;
      }
    }
    // Out of memory leaves the session whole (an allocation failed inside one run, which unwound), and so do feeds that
    // the graph refuses. After anything else nobody knows: a session made anew is cheaper than wrong answers.
    if (codeOf(error) === 'internal') await this.#shelf.release(entry);
    throw error;
  }

  #begin(model: PoolModel): ShelfEntry {
    const { budgetBytes } = this.#options;
    const neededBytes = model.bytes + (model.scratchBytes ?? 0);
    if (neededBytes > budgetBytes) {
      throw new EdgewiseError(
        'no_capacity',
        `the model needs ${neededBytes} bytes of memory: wanted at most ${budgetBytes}`,
      );
    }
    const entry = this.#shelf.add(model);
    void this.#deferred(
      entry.queue.run(
        () => this.#load(entry, model),
        () => this.#limit(entry, {}, this.#options.clock.now()),
      ),
    );
    return entry;
  }

  async #load(entry: ShelfEntry, model: PoolModel): Promise<Session> {
    const { clock, loadTimeoutMs } = this.#options;
    try {
      const session = await this.#loading.run(
        () => this.#create(entry, model),
        () => ({ clock, ms: loadTimeoutMs, refusal: () => slowLoad() }),
      );
      entry.session = session;
      entry.loadedAtMs = clock.now();
      this.#loads += 1;
      return session;
    } catch (thrown) {
      const error = loadError(thrown);
      this.#shelf.fail(entry, error);
      this.#failedLoads += 1;
      throw error;
    }
  }

  async #create(entry: ShelfEntry, model: PoolModel): Promise<Session> {
    const { clock, loadTimeoutMs } = this.#options;
    await this.#shelf.makeRoom(entry);
    const loading = model.load();
    if ((await settledWithin(loading, { clock, ms: loadTimeoutMs })) !== 'settled') throw slowLoad();
    const source = await loading;
    try {
      return await this.#createSession(entry.model, source);
    } catch (error) {
      // Expected bytes are estimates, and the heap is in pieces: all that can go goes, and once more.
      if (codeOf(error) !== 'no_capacity' || !(await this.#shelf.releaseIdle())) throw error;
      return await this.#createSession(entry.model, source);
    }
  }

  /** Again where another model's run ended the engine meanwhile. */
  async #createSession(model: PoolModel, source: ModelSource): Promise<Session> {
    for (let losses = 0; ; losses += 1) {
      try {
        return await this.#options.engine.createSession(source);
      } catch (error) {
        if (!(error instanceof SessionLostError)) throw error;
        if (error.isCulprit) {
          this.#stop(model, error);
          throw stopped(error);
        }
        if (losses >= maxLosses) throw restarting();
      }
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

  #limit(entry: ShelfEntry, options: RunOptions, askedMs: number): TurnLimit {
    const { clock, loadTimeoutMs, waitTimeoutMs } = this.#options;
    const patienceMs = entry.session === undefined ? loadTimeoutMs : waitTimeoutMs;
    const deadlineMs = options.deadlineMs ?? Number.POSITIVE_INFINITY;
    return {
      clock,
      ms: Math.min(patienceMs, deadlineMs) - (clock.now() - askedMs),
      signal: options.signal,
      refusal: (outcome) => {
        if (outcome === 'aborted') return cancelled(options);
        if (deadlineMs < patienceMs) return late(deadlineMs);
        return entry.session === undefined ? slowLoad() : busy();
      },
    };
  }
}
