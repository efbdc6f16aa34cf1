/**
 * Sessions of one isolate, by model key.
 *
 * - A model is loaded once, however many requests ask for it: the load is the first turn in its session's queue, and the
 *   requests wait behind it. The whole load is handed to `defer`, so that it outlives the request that started it. If the
 *   load is cut off all the same, the next turn in the queue loads again (`async/mutex.ts` explains how it finds out).
 * - Runs of one session are sequential. A session with a queue is never evicted, so a request that waits for a load also
 *   gets its run.
 */
import type { Clock } from '../async/clock.ts';
import type { TurnLimit } from '../async/mutex.ts';
import { EdgewiseError } from '../errors.ts';
import { callerLeftError, queueFullError, runDeadlineError } from './run-errors.ts';
import { SessionLoader } from './session-loader.ts';
import { maxSessionLosses, type SessionLostError } from './session-lost.ts';
import { engineRestartingError, modelBusyError, slowLoadError } from './session-pool-errors.ts';
import { lost, SessionRunner } from './session-runner.ts';
import { type PoolModel, SessionShelf, type ShelfEntry } from './session-shelf.ts';
import { type StoppedModel, StoppedModels } from './stopped-models.ts';
import type { Engine, Feeds, RunOptions, RunResult, Session } from './types.ts';

export type { PoolModel };

export interface SessionPoolOptions {
  readonly engine: Engine;
  /** Budget of all sessions together, by their expected bytes. */
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
  /** Called when a model stopped the engine, for the log. */
  readonly onStopped?: ((model: StoppedModel, cause: SessionLostError) => void) | undefined;
}

export interface PoolSnapshot {
  readonly bytes: number;
  readonly budgetBytes: number;
  /** The least recently used first. `queued` includes the current run or load. */
  readonly sessions: readonly {
    readonly key: string;
    readonly bytes: number;
    readonly ready: boolean;
    readonly queued: number;
  }[];
  /** Since the start: sessions created, loads that failed, sessions released. */
  readonly loads: number;
  readonly failedLoads: number;
  readonly releases: number;
  /** Since the start: how often a model stopped the engine, and the models that did. */
  readonly engineStops: number;
  readonly stopped: readonly StoppedModel[];
}

/** Work on a loaded session. `cold`: the session was not loaded when the request came. */
type Task<T> = (entry: ShelfEntry, session: Session, cold: boolean) => Promise<T | typeof lost>;

export class SessionPool {
  readonly #options: SessionPoolOptions;
  readonly #shelf: SessionShelf;
  readonly #loader: SessionLoader;
  readonly #runner: SessionRunner;
  readonly #stopped: StoppedModels;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
    this.#shelf = new SessionShelf(options);
    this.#stopped = new StoppedModels(options);
    this.#loader = new SessionLoader(options, this.#shelf, this.#stopped);
    this.#runner = new SessionRunner(this.#shelf, this.#stopped);
  }

  /**
   * Loads the model if necessary, waits for its session, and runs it.
   *
   * @throws EdgewiseError what the load or the run throws; `no_capacity` if there is no room for the model; `overloaded`
   * if the queue is full or the wait was too long; `model_not_ready` if the load was too long; `deadline_exceeded` if the
   * caller's deadline passed, or its signal was aborted, before the run began.
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
      const outputs = await this.#runner.run(entry, session, feeds, fetches, remainingMs);
      if (outputs === lost) {
        losses += 1;
        if (losses > maxSessionLosses) throw engineRestartingError();
        return lost;
      }
      const loadMs = cold ? Math.max(0, entry.loadedAtMs - askedMs) : 0;
      const queueMs = begunMs - askedMs - loadMs;
      const { runtime } = session;
      return { outputs, runtime, timings: { loadMs, queueMs, runMs: clock.now() - begunMs, cold } };
    });
  }

  /** Loads the model if necessary. Throws what `run` throws before the run. */
  async warm(model: PoolModel): Promise<void> {
    if (this.has(model.key)) return;
    await this.#visit(model, {}, this.#options.clock.now(), async () => undefined);
  }

  /** Reports whether the engine can compute now: no run is overdue, and the engine is not restarting. */
  isAvailable(): boolean {
    return this.#options.engine.isAvailable?.() ?? true;
  }

  /** @throws EdgewiseError `model_not_ready` if the model is kept out because it stopped the engine. */
  checkKeptOut(key: string): void {
    this.#stopped.check(key);
  }

  /** Lets in a model that was kept out because it stopped the engine. */
  letIn(name: string): void {
    this.#stopped.letIn(name);
  }

  /**
   * Releases the model's session after the runs that are queued now.
   *
   * @throws EdgewiseError `overloaded` if they took too long; the session then stays.
   */
  async evict(key: string): Promise<void> {
    const entry = this.#shelf.peek(key);
    if (entry === undefined) return;
    await entry.queue.run(
      () => this.#shelf.release(entry),
      () => this.#limit(entry, {}, this.#options.clock.now()),
    );
  }

  /** Reports whether the model is loaded. */
  has(key: string): boolean {
    return this.#shelf.peek(key)?.session !== undefined;
  }

  /** Reports whether a run requested now has to wait, for the model's load or for other runs. */
  mustWait(key: string): boolean {
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
      loads: this.#loader.loads,
      failedLoads: this.#loader.failedLoads,
      releases: this.#shelf.releases,
      engineStops: this.#stopped.stops,
      stopped: this.#stopped.list(),
    };
  }

  /** Runs the task in its turn at the model's session. Starts over if the session disappeared while the task waited. */
  async #visit<T>(model: PoolModel, options: RunOptions, askedMs: number, task: Task<T>): Promise<T> {
    let cold = false;
    for (;;) {
      this.#stopped.check(model.key);
      if (options.signal?.aborted) throw callerLeftError(options.signal);
      const entry = this.#shelf.get(model.key) ?? this.#add(model);
      if (entry.session === undefined) cold = true;
      if (entry.queue.size > this.#options.maxQueuePerSession) throw queueFullError(entry.queue.size);
      const result = await entry.queue.run(
        () => this.#takeTurn(entry, model, options, cold, task),
        () => this.#limit(entry, options, askedMs),
      );
      if (result !== lost) return result;
    }
  }

  async #takeTurn<T>(
    entry: ShelfEntry,
    model: PoolModel,
    options: RunOptions,
    cold: boolean,
    task: Task<T>,
  ): Promise<T | typeof lost> {
    if (entry.failure !== undefined) throw entry.failure;
    if (entry.isGone) return lost;
    if (entry.isRunning) {
      // The run before was cut off with its request. It never resumes, and it left the session in an unknown state.
      await this.#shelf.release(entry);
      return lost;
    }
    // Neither a session nor a failure: the load was cut off. Load again, by the means of this request.
    const session = entry.session ?? (await this.#defer(this.#loader.load(entry, model)));
    if (options.signal?.aborted) throw callerLeftError(options.signal);
    return task(entry, session, cold);
  }

  /** Adds an entry for the model and starts its load. */
  #add(model: PoolModel): ShelfEntry {
    const { budgetBytes } = this.#options;
    const neededBytes = model.bytes + (model.scratchBytes ?? 0);
    if (neededBytes > budgetBytes) {
      throw new EdgewiseError(
        'no_capacity',
        `the model needs ${neededBytes} bytes of memory; expected at most ${budgetBytes}`,
      );
    }
    const entry = this.#shelf.add(model);
    void this.#defer(
      entry.queue.run(
        () => this.#loader.load(entry, model),
        () => this.#limit(entry, {}, this.#options.clock.now()),
      ),
    );
    return entry;
  }

  /** Hands the work to `options.defer`, so that it outlives the request that started it. */
  #defer<T>(work: Promise<T>): Promise<T> {
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
        if (outcome === 'aborted') return callerLeftError(options.signal);
        if (deadlineMs < patienceMs) return runDeadlineError(deadlineMs);
        return entry.session === undefined ? slowLoadError() : modelBusyError();
      },
    };
  }
}
