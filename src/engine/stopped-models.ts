/**
 * Models that took the engine with them: a run, or a load, that did not end in its time, or that ended the engine's
 * process. The third time a model is kept out, until an operator lets it in.
 */
import { Lru } from '../async/lru.ts';
import { EdgewiseError } from '../errors.ts';

const maxStops = 3;
/** One that stopped the engine longer ago than that begins anew: an engine may also end by a driver, or for want of memory. */
const forgivenAfterMs = 3_600_000;
/** Models of which it is remembered; beyond, the one that stopped the engine least recently is forgotten. */
const maxModels = 1024;
const retryAfterSeconds = 60;

export interface StoppedModel {
  /** Digest of its manifest. */
  readonly key: string;
  readonly name: string;
  readonly version: string;
  readonly stops: number;
  readonly isKeptOut: boolean;
}

export class StoppedModels {
  readonly #models = new Lru<string, StoppedModel & { readonly atMs: number }>({ maxBytes: maxModels });
  #stops = 0;

  /** Since the start, of all models. */
  get stops(): number {
    return this.#stops;
  }

  /** Counts that the model stopped the engine. */
  add({ key, name, version }: Pick<StoppedModel, 'key' | 'name' | 'version'>, nowMs: number): StoppedModel {
    this.#stops += 1;
    const before = this.#models.peek(key);
    const isRecent = before !== undefined && nowMs - before.atMs < forgivenAfterMs;
    const stops = (isRecent ? before.stops : 0) + 1;
    const model = { key, name, version, stops, isKeptOut: stops >= maxStops };
    this.#models.set(key, { ...model, atMs: nowMs }, 1);
    return model;
  }

  /** @throws EdgewiseError `model_not_ready` where the model is kept out. */
  check(key: string): void {
    const model = this.#models.size === 0 ? undefined : this.#models.peek(key);
    if (model?.isKeptOut !== true) return;
    throw new EdgewiseError(
      'model_not_ready',
      `version ${model.version} of the model is kept out of this server: ${model.stops} times a run of it did not end in its time, or ended the engine; publish a version that does, or let it in with POST /v2/repository/models/${model.name}/load`,
      { retryAfterSeconds },
    );
  }

  /** Forgets what all versions of the model did. */
  letIn(name: string): void {
    for (const { key } of this.list()) if (this.#models.peek(key)?.name === name) this.#models.delete(key);
  }

  list(): readonly StoppedModel[] {
    return [...this.#models].map(([, { atMs: _, ...model }]) => model);
  }
}
