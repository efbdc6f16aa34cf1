/**
 * All models at once, without a read of the store for each: one listing of the store says which indexes there are and which
 * have changed (by their etags), and one document, `listings/models.json`, holds what they last said. The document only
 * saves reads: the indexes decide, so it may be missing, old, or lose a race.
 */
import { z } from 'zod';
import type { Clock } from '../../async/clock.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Defer, StateEntry, StateStore } from '../../storage/types.ts';
import { decodeIndex } from '../documents.ts';
import { indexKey, indexPrefix, nameOfIndexKey } from '../keys.ts';
import { isModelName } from '../name.ts';
import { type ModelIndex, modelIndexSchema } from '../schema.ts';

export const listingKey = 'listings/models.json';
const listingSchemaId = 'edgewise.listing.v1';
const listingSchema = z.strictObject({
  schema: z.literal(listingSchemaId),
  models: z.record(z.string(), z.strictObject({ etag: z.string(), index: modelIndexSchema })),
});

/** Text of the document: some ten thousand models of one version. Those beyond it are read when they are asked for. */
const maxTextLength = 4 * 1024 * 1024;
/** Indexes that one request reads at most: Cloudflare lets it ask its stores a thousand times. */
const maxReads = 400;
const readsAtATime = 6;
/** What a page holds at most, and what it holds when nothing is said. */
export const maxPageModels = 1000;

export interface ModelListingOptions {
  readonly state: StateStore;
  readonly clock: Clock;
  readonly defer: Defer;
  /** How old the listing of the store may be. */
  readonly maxAgeMs: number;
}

export interface PageOptions {
  /** Only these models. Default: all. */
  readonly selects?: (name: string) => boolean;
  /** Names above this one alone: the `next` of the page before. */
  readonly after?: string | undefined;
  /** Default, and most: 1000. */
  readonly limit?: number | undefined;
}

export interface ModelPage {
  readonly indexes: readonly ModelIndex[];
  /** Where the next page begins; undefined: this is the last one. */
  readonly next: string | undefined;
}

interface Known {
  readonly etag: string;
  readonly index: ModelIndex;
  readonly textLength: number;
}

interface Stored {
  readonly names: readonly string[];
  /** By name; undefined where the store cannot tell without reading. */
  readonly etags: Map<string, string> | undefined;
  readonly readAt: number;
}

export class ModelListing {
  readonly #options: ModelListingOptions;
  #known = new Map<string, Known>();
  #stored: Stored | undefined;
  #document: Pick<StateEntry, 'etag'> | undefined;
  /** Counts invalidations: a listing that began before one is not kept. */
  #epoch = 0;

  constructor(options: ModelListingOptions) {
    this.#options = options;
  }

  /** Names of all models, ascending. @throws what the store throws. */
  async names(): Promise<readonly string[]> {
    return (await this.#list()).names;
  }

  /**
   * @throws EdgewiseError `model_not_ready` when more indexes have to be read than one request may: what was read is kept,
   * so the next attempt goes on from there; what the store throws.
   */
  async page({ selects = () => true, after, limit = maxPageModels }: PageOptions = {}): Promise<ModelPage> {
    const stored = await this.#list();
    const rest = stored.names.filter((name) => (after === undefined || name > after) && selects(name));
    const names = rest.slice(0, Math.min(limit, maxPageModels));
    await this.#learn(names, stored);
    return {
      indexes: names.flatMap((name) => this.#known.get(name)?.index ?? []),
      next: rest.length > names.length ? names.at(-1) : undefined,
    };
  }

  /** Lists the store anew with the next call. */
  invalidate(): void {
    this.#epoch += 1;
    this.#stored = undefined;
  }

  async #list(): Promise<Stored> {
    const { clock, maxAgeMs, state } = this.#options;
    const readAt = clock.now();
    if (this.#stored !== undefined && readAt - this.#stored.readAt < maxAgeMs) return this.#stored;
    const epoch = this.#epoch;
    const listed = await state.listEtags?.(indexPrefix);
    const keys = listed?.map(({ key }) => key) ?? (await state.list(indexPrefix));
    const names = keys.map(nameOfIndexKey).filter((name) => name !== undefined && isModelName(name));
    const etags = listed && new Map(listed.map(({ key, etag }) => [nameOfIndexKey(key) ?? '', etag]));
    const stored = { names: names.filter((name) => name !== undefined).sort(), etags, readAt };
    if (epoch === this.#epoch) this.#stored = stored;
    return stored;
  }

  /** Brings what is known of these models up to the store's listing. */
  async #learn(names: readonly string[], { names: all, etags }: Stored): Promise<void> {
    const isCurrent = (name: string) =>
      etags !== undefined && this.#known.get(name)?.etag === etags.get(name) && etags.has(name);
    let wanting = names.filter((name) => !isCurrent(name));
    if (wanting.length === 0) return;
    if (etags !== undefined) {
      await this.#readDocument();
      wanting = names.filter((name) => !isCurrent(name));
    }
    if (wanting.length > 0) await this.#readIndexes(wanting.slice(0, maxReads), etags);
    const there = new Set(all);
    for (const name of this.#known.keys()) if (!there.has(name)) this.#known.delete(name);
    if (etags !== undefined && wanting.length > 0) this.#options.defer(this.#writeDocument());
    if (wanting.length > maxReads) {
      throw new EdgewiseError(
        'model_not_ready',
        `the listing of ${all.length} models is being made, ${wanting.length - maxReads} are still to be read: ask again`,
        { retryAfterSeconds: 1 },
      );
    }
  }

  async #readIndexes(names: readonly string[], etags: Map<string, string> | undefined): Promise<void> {
    const { state } = this.#options;
    const waiting = names.values();
    const read = async () => {
      for (const name of waiting) {
        const entry = await state.get(indexKey(name));
        // Removed since the store was listed.
        if (entry === undefined) this.#known.delete(name);
        else this.#keep(name, entry);
        // Newer than the listing, maybe: it holds as long.
        if (entry !== undefined) etags?.set(name, entry.etag);
      }
    };
    await Promise.all(Array.from({ length: readsAtATime }, read));
  }

  #keep(name: string, { etag, value }: StateEntry): void {
    this.#known.set(name, { etag, index: decodeIndex(name, value), textLength: value.length });
  }

  async #readDocument(): Promise<void> {
    const { state } = this.#options;
    const entry =
      this.#document === undefined
        ? await state.get(listingKey)
        : await state.getIfChanged(listingKey, this.#document.etag);
    if (entry === undefined || entry === 'unchanged') return;
    const document = documentOf(entry.value);
    this.#document = { etag: entry.etag };
    for (const [name, { etag, index }] of Object.entries(document)) {
      if (this.#known.has(name)) continue;
      this.#known.set(name, { etag, index, textLength: JSON.stringify(index).length });
    }
  }

  /** Never rejects: without the document only more is read. */
  async #writeDocument(): Promise<void> {
    const { state } = this.#options;
    let length = 0;
    const models: Record<string, { etag: string; index: ModelIndex }> = {};
    for (const [name, { etag, index, textLength }] of this.#known) {
      length += textLength + name.length + etag.length + 40;
      if (length > maxTextLength) break;
      models[name] = { etag, index };
    }
    try {
      const condition =
        this.#document === undefined ? ({ ifAbsent: true } as const) : { ifMatch: this.#document.etag };
      const value = JSON.stringify({ schema: listingSchemaId, models });
      const etag = await state.put(listingKey, value, condition);
      // Another isolate was first: its document is read with the next change.
      this.#document = etag === undefined ? undefined : { etag };
    } catch {
      this.#document = undefined;
    }
  }
}

/** What cannot be read is as good as missing: it is made anew. */
function documentOf(text: string): z.output<typeof listingSchema>['models'] {
  try {
    const parsed = listingSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data.models : {};
  } catch {
    return {};
  }
}
