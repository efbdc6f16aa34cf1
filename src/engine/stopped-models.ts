/**
 * Models that stopped the engine: a run or load exceeded its time limit, or ended the engine's process. After the third
 * stop a model is kept out until an operator lets it in.
 */
import type { Clock } from '../async/clock.ts';
import { Lru } from '../async/lru.ts';
import { EdgewiseError } from '../errors.ts';
import type { SessionLostError } from './session-lost.ts';

const maxStops = 3;
/** Older stops no longer count: an engine may also end because of a driver, or for lack of memory. */
const forgivenAfterMs = 3_600_000;
/** Beyond this number, the model that stopped the engine least recently is forgotten. */
const maxModels = 1024;
const retryAfterSeconds = 60;

export interface StoppedModel {
  /** Digest of the model's manifest. */
  readonly key: string;
  readonly name: string;
  readonly version: string;
  readonly stops: number;
  readonly isKeptOut: boolean;
}

export interface StoppedModelsOptions {
  readonly clock: Clock;
  /** Called for each stop, for the log. */
  readonly onStopped?: ((model: StoppedModel, cause: SessionLostError) => void) | undefined;
}

export class StoppedModels {
  readonly #options: StoppedModelsOptions;
  readonly #models = new Lru<string, StoppedModel & { readonly atMs: number }>({ maxBytes: maxModels });
  #stops = 0;

  constructor(options: StoppedModelsOptions) {
    this.#options = options;
  }

  /** Stops since the start, by all models. */
  get stops(): number {
    return this.#stops;
  }

  /** Records that the model stopped the engine. */
  add({ key, name, version }: Pick<StoppedModel, 'key' | 'name' | 'version'>, cause: SessionLostError): void {
    this.#stops += 1;
    const nowMs = this.#options.clock.now();
    const before = this.#models.peek(key);
    const isRecent = before !== undefined && nowMs - before.atMs < forgivenAfterMs;
    const stops = (isRecent ? before.stops : 0) + 1;
    const model = { key, name, version, stops, isKeptOut: stops >= maxStops };
    this.#models.set(key, { ...model, atMs: nowMs }, 1);
    this.#options.onStopped?.(model, cause);
  }

  /** @throws EdgewiseError `model_not_ready` if the model is kept out. */
  check(key: string): void {
    const model = this.#models.size === 0 ? undefined : this.#models.peek(key);
    if (model?.isKeptOut !== true) return;
    throw new EdgewiseError(
      'model_not_ready',
      `version ${model.version} of the model is kept out of this server: it stopped the engine ${model.stops} times; publish a version that does not, or let it in with POST /v2/repository/models/${model.name}/load`,
      { retryAfterSeconds },
    );
  }

  /** Forgets the stops of all versions of the model. */
  letIn(name: string): void {
    for (const { key } of this.list()) if (this.#models.peek(key)?.name === name) this.#models.delete(key);
  }

  list(): readonly StoppedModel[] {
    return [...this.#models].map(([, { atMs: _, ...model }]) => model);
  }
}
