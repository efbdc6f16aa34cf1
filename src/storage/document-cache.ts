/**
 * Documents of a state store in memory, with the time at which the read of each began. What may be answered from them, and
 * for how long, is decided by the owner of the cache. Ids without a document are remembered as well.
 */
import type { Clock } from '../async/clock.ts';
import { Lru } from '../async/lru.ts';
import type { StateStore } from './types.ts';

export interface DocumentCacheOptions<T> {
  readonly state: Pick<StateStore, 'get' | 'getIfChanged'>;
  readonly clock: Clock;
  readonly keyOf: (id: string) => string;
  /** @throws EdgewiseError if the text is not such a document. */
  readonly decode: (id: string, text: string) => T;
  /** Length of the text of all documents together; parsed, they take a few times as much. */
  readonly maxTextLength: number;
  /** Ids without a document that are remembered. They have a room of their own, so made-up ids push no document out. */
  readonly maxUnknown: number;
}

export interface CachedDocument<T> {
  readonly value: T;
  readonly etag: string;
  readonly textLength: number;
  /** When the read began, by the clock of the cache. */
  readonly readAt: number;
  /** Owned by the owner of the cache: when the deferred read that replaces this document began. */
  refreshStartedAt: number | undefined;
}

export class DocumentCache<T> {
  readonly #options: DocumentCacheOptions<T>;
  readonly #documents: Lru<string, CachedDocument<T>>;
  /** Id → when the store was found to have no document. */
  readonly #unknown: Lru<string, number>;
  /** Counts calls of `forget`: a read that began before one does not fill the cache after it. */
  #epoch = 0;

  constructor(options: DocumentCacheOptions<T>) {
    this.#options = options;
    this.#documents = new Lru({ maxBytes: options.maxTextLength });
    this.#unknown = new Lru({ maxBytes: options.maxUnknown });
  }

  /** Returns the document, however old, and marks it as used. */
  find(id: string): CachedDocument<T> | undefined {
    return this.#documents.get(id);
  }

  /** Returns the document, however old, without marking it as used. */
  peek(id: string): CachedDocument<T> | undefined {
    return this.#documents.peek(id);
  }

  /** Reports whether the store had no document `id` less than `maxAgeMs` before `now`. */
  isAbsent(id: string, now: number, maxAgeMs: number): boolean {
    const absentAt = this.#unknown.get(id);
    return absentAt !== undefined && now - absentAt < maxAgeMs;
  }

  /** Forgets `id`, and keeps nothing from a read that is under way. */
  forget(id: string): void {
    this.#epoch += 1;
    this.#documents.delete(id);
    this.#unknown.delete(id);
  }

  /**
   * Reads the document, moving its text only if it is not the one that is known, and keeps it unless a later read has
   * overtaken this one. Returns undefined if there is none.
   *
   * @throws what the store and `decode` throw.
   */
  async read(id: string): Promise<T | undefined> {
    const { clock, decode, keyOf, state } = this.#options;
    const epoch = this.#epoch;
    const readAt = clock.now();
    const known = this.#documents.peek(id);
    const key = keyOf(id);
    const entry = await (known === undefined ? state.get(key) : state.getIfChanged(key, known.etag));
    const fresh = { readAt, refreshStartedAt: undefined };
    let read: CachedDocument<T> | undefined;
    if (entry === 'unchanged') read = known && { ...known, ...fresh };
    else if (entry !== undefined) {
      const { etag, value } = entry;
      read = { value: decode(id, value), etag, textLength: value.length, ...fresh };
    }
    const standing = this.#documents.peek(id);
    if (epoch === this.#epoch && (standing === undefined || standing.readAt <= readAt)) {
      this.#documents.delete(id);
      this.#unknown.delete(id);
      if (read === undefined) this.#unknown.set(id, readAt, 1);
      else this.#documents.set(id, read, read.textLength);
    }
    return read?.value;
  }
}
