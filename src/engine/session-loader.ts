/**
 * Loads models into sessions, one at a time: an engine suspends a create while weights arrive and cannot nest a second
 * one, and room is then made for one model at a time.
 */
import type { Clock } from '../async/clock.ts';
import { settledWithin } from '../async/deadline.ts';
import { Mutex } from '../async/mutex.ts';
import { maxSessionLosses, SessionLostError } from './session-lost.ts';
import {
  codeOf,
  engineRestartingError,
  engineStoppedError,
  slowLoadError,
  toCallerError,
} from './session-pool-errors.ts';
import type { PoolModel, SessionShelf, ShelfEntry } from './session-shelf.ts';
import type { StoppedModels } from './stopped-models.ts';
import type { Engine, ModelSource, Session } from './types.ts';

export interface SessionLoaderOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  /** Longest wait for the loads before this one, and for a model's source. */
  readonly loadTimeoutMs: number;
}

export class SessionLoader {
  readonly #options: SessionLoaderOptions;
  readonly #shelf: SessionShelf;
  readonly #stopped: StoppedModels;
  readonly #loading = new Mutex();
  #loads = 0;
  #failedLoads = 0;

  constructor(options: SessionLoaderOptions, shelf: SessionShelf, stopped: StoppedModels) {
    this.#options = options;
    this.#shelf = shelf;
    this.#stopped = stopped;
  }

  /** Sessions created since the start. */
  get loads(): number {
    return this.#loads;
  }

  /** Loads that failed since the start. */
  get failedLoads(): number {
    return this.#failedLoads;
  }

  /**
   * Loads the entry's model. A failed load removes the entry from the shelf.
   *
   * @param model The entry's model as the current request has it: its `load` must not use the means of an ended request.
   */
  async load(entry: ShelfEntry, model: PoolModel): Promise<Session> {
    const { clock, loadTimeoutMs } = this.#options;
    try {
      const session = await this.#loading.run(
        () => this.#create(entry, model),
        () => ({ clock, ms: loadTimeoutMs, refusal: slowLoadError }),
      );
      entry.session = session;
      entry.loadedAtMs = clock.now();
      this.#loads += 1;
      return session;
    } catch (thrown) {
      const error = toCallerError(thrown);
      this.#shelf.fail(entry, error);
      this.#failedLoads += 1;
      throw error;
    }
  }

  async #create(entry: ShelfEntry, model: PoolModel): Promise<Session> {
    const { clock, loadTimeoutMs } = this.#options;
    await this.#shelf.makeRoom(entry);
    const loading = model.load();
    if ((await settledWithin(loading, { clock, ms: loadTimeoutMs })) !== 'settled') throw slowLoadError();
    const source = await loading;
    try {
      return await this.#createSession(model, source);
    } catch (error) {
      // Expected bytes are estimates and the heap is fragmented, so release every idle session and try once more.
      if (codeOf(error) !== 'no_capacity' || !(await this.#shelf.releaseIdle())) throw error;
      return await this.#createSession(model, source);
    }
  }

  /** Creates the session. Repeats the create if another model's run ended the engine meanwhile. */
  async #createSession(model: PoolModel, source: ModelSource): Promise<Session> {
    for (let losses = 0; ; losses += 1) {
      try {
        return await this.#options.engine.createSession(source);
      } catch (error) {
        if (!(error instanceof SessionLostError)) throw error;
        if (error.isCulprit) {
          this.#stopped.add(model, error);
          throw engineStoppedError(error);
        }
        if (losses >= maxSessionLosses) throw engineRestartingError();
      }
    }
  }
}
