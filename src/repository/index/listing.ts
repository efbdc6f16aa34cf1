/**
 * Lists all models without a read of the store for each: one listing of the store tells which indexes exist and which have
 * changed (by their etags), and one document, `listings/models.json`, holds the indexes as they were last read. The document
 * only saves reads and decides nothing, so it may be missing, outdated, or lose a race.
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

/** Length of the document: some ten thousand models of one version each. Further models are read when they are listed. */
const maxTextLength = 4 * 1024 * 1024;
/** Most indexes that one request reads: Cloudflare lets a request call its stores a thousand times. */
const maxReads = 400;
const readsAtATime = 6;
/** Most models on a page, and the default. */
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
  /** Only names above this one: the `next` of the page before. */
  readonly after?: string | undefined;
  /** Default and maximum: 1000. */
  readonly limit?: number | undefined;
}

export interface ModelPage {
  readonly indexes: readonly ModelIndex[];
  /** The `after` of the next page; undefined on the last page. */
  readonly next: string | undefined;
}

interface KnownIndex {
  readonly etag: string;
  readonly index: ModelIndex;
  readonly textLength: number;
}

/** A listing of the store. */
interface StoreListing {
  readonly names: readonly string[];
  /** Name → etag of the index; undefined if the store cannot tell without reading. */
  readonly etags: Map<string, string> | undefined;
  readonly readAt: number;
}

export class ModelListing {
  readonly #options: ModelListingOptions;
  #known = new Map<string, KnownIndex>();
  #listing: StoreListing | undefined;
  #document: Pick<StateEntry, 'etag'> | undefined;
  /** Counts invalidations: a listing that began before one is not kept. */
  #epoch = 0;

  constructor(options: ModelListingOptions) {
    this.#options = options;
  }

  /** Returns the names of all models, ascending. @throws what the store throws. */
  async names(): Promise<readonly string[]> {
    return (await this.#list()).names;
  }

  /**
   * @throws EdgewiseError `model_not_ready` if more indexes have to be read than one request may read. Those read so far are
   * kept, so the next attempt continues from there; what the store throws.
   */
  async page({ selects = () => true, after, limit = maxPageModels }: PageOptions = {}): Promise<ModelPage> {
    const listing = await this.#list();
    const rest = listing.names.filter((name) => (after === undefined || name > after) && selects(name));
    const names = rest.slice(0, Math.min(limit, maxPageModels));
    await this.#update(names, listing);
    return {
      indexes: names.flatMap((name) => this.#known.get(name)?.index ?? []),
      next: rest.length > names.length ? names.at(-1) : undefined,
    };
  }

  /** Makes the next call list the store again. */
  invalidate(): void {
    this.#epoch += 1;
    this.#listing = undefined;
  }

  async #list(): Promise<StoreListing> {
    const { clock, maxAgeMs, state } = this.#options;
    const readAt = clock.now();
    if (this.#listing !== undefined && readAt - this.#listing.readAt < maxAgeMs) return this.#listing;
    const epoch = this.#epoch;
    const listed = await state.listEtags?.(indexPrefix);
    const keys = listed?.map(({ key }) => key) ?? (await state.list(indexPrefix));
    const names = keys.map(nameOfIndexKey).filter((name) => name !== undefined && isModelName(name));
    const etags = listed && new Map(listed.map(({ key, etag }) => [nameOfIndexKey(key) ?? '', etag]));
    const listing = { names: names.filter((name) => name !== undefined).sort(), etags, readAt };
    if (epoch === this.#epoch) this.#listing = listing;
    return listing;
  }

  /** Brings the known indexes of these models up to the store's listing. */
  async #update(names: readonly string[], { names: all, etags }: StoreListing): Promise<void> {
    const isCurrent = (name: string) =>
      etags !== undefined && this.#known.get(name)?.etag === etags.get(name) && etags.has(name);
    let outdated = names.filter((name) => !isCurrent(name));
    if (outdated.length === 0) return;
    if (etags !== undefined) {
      await this.#readDocument();
      outdated = names.filter((name) => !isCurrent(name));
    }
    if (outdated.length > 0) await this.#readIndexes(outdated.slice(0, maxReads), etags);
    const listed = new Set(all);
    for (const name of this.#known.keys()) if (!listed.has(name)) this.#known.delete(name);
    if (etags !== undefined && outdated.length > 0) this.#options.defer(this.#writeDocument());
    if (outdated.length > maxReads) {
      throw new EdgewiseError(
        'model_not_ready',
        `the listing of ${all.length} models is still being built, and ${outdated.length - maxReads} of them are not read yet: ask again`,
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
        // The model was removed since the store was listed.
        if (entry === undefined) this.#known.delete(name);
        else this.#keep(name, entry);
        // The etag may be newer than the listing, and is used as long as the listing.
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
    const document = parseDocument(entry.value);
    this.#document = { etag: entry.etag };
    for (const [name, { etag, index }] of Object.entries(document)) {
      if (this.#known.has(name)) continue;
      this.#known.set(name, { etag, index, textLength: JSON.stringify(index).length });
    }
  }

  /** Never rejects: without the document only more indexes have to be read. */
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
      // If another isolate was first, its document is read at the next change.
      this.#document = etag === undefined ? undefined : { etag };
    } catch {
      this.#document = undefined;
    }
  }
}

/** Returns no models for a document that cannot be read: it is written again. */
function parseDocument(text: string): z.output<typeof listingSchema>['models'] {
  try {
    const parsed = listingSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data.models : {};
  } catch {
    return {};
  }
}
