/**
 * Small documents of a state store that decide rights and that many requests ask for, kept in memory for a bounded age. No
 * answer is older than `maxAgeMs`, counted from before its read began; an older document is read again before it is
 * answered from. Documents in use are read again in the background before that, so requests seldom wait. A store that
 * cannot be read, or does not answer in time, is an error and never an old answer.
 */
import type { Clock } from '../async/clock.ts';
import { settledWithin } from '../async/deadline.ts';
import { SingleFlight } from '../async/single-flight.ts';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import { type CachedDocument, DocumentCache } from './document-cache.ts';
import type { Defer, StateStore } from './types.ts';

export const defaultMaxAgeMs = 5000;
/** Share of the age after which a document in use is read again in the background. */
const refreshAt = 0.6;
const readTimeoutMs = 3000;
/** A deferred read that takes longer has ended with its request; the next request may start another. */
const refreshPatienceMs = 2000;
const defaultMaxTextLength = 2 * 1024 * 1024;
const maxUnknown = 1024;

export interface CachedDocumentsOptions<T> {
  readonly state: StateStore;
  readonly clock: Clock;
  readonly defer: Defer;
  /** For messages: `the keys`. */
  readonly what: string;
  readonly keyOf: (id: string) => string;
  /** @throws EdgewiseError if the text is not such a document. */
  readonly decode: (id: string, text: string) => T;
  /** Default 5000. */
  readonly maxAgeMs?: number;
  /** Length of the text of all documents together; parsed, they take a few times as much. Default 2 Mi. */
  readonly maxTextLength?: number;
}

export class CachedDocuments<T> {
  readonly #options: CachedDocumentsOptions<T>;
  readonly #maxAgeMs: number;
  readonly #documents: DocumentCache<T>;
  readonly #reads: SingleFlight<string, T | undefined>;

  constructor(options: CachedDocumentsOptions<T>) {
    const { clock, defer, state, maxAgeMs = defaultMaxAgeMs, maxTextLength = defaultMaxTextLength } = options;
    this.#options = options;
    this.#maxAgeMs = maxAgeMs;
    this.#documents = new DocumentCache({
      ...options,
      state: {
        get: (key) => this.#inTime(state.get(key)),
        getIfChanged: (key, etag) => this.#inTime(state.getIfChanged(key, etag)),
      },
      maxTextLength,
      maxUnknown,
    });
    this.#reads = new SingleFlight({ clock, defer, patienceMs: readTimeoutMs });
  }

  /**
   * Returns the document, or undefined if there is none. Answers at once, not by a promise, from what is young enough.
   *
   * @throws EdgewiseError (by the promise) `records_unavailable` if the store cannot be read; `internal` if the stored
   * document cannot.
   */
  get(id: string): T | undefined | Promise<T | undefined> {
    const now = this.#options.clock.now();
    const cached = this.#documents.find(id);
    if (cached !== undefined) {
      const ageMs = now - cached.readAt;
      if (ageMs < this.#maxAgeMs) {
        if (ageMs >= this.#maxAgeMs * refreshAt) this.#refresh(id, cached, now);
        return cached.value;
      }
    } else if (this.#documents.isAbsent(id, now, this.#maxAgeMs)) {
      return undefined;
    }
    return this.#read(id);
  }

  /** Returns the document that was read last, however old. Only to guess what to read next. */
  last(id: string): T | undefined {
    return this.#documents.peek(id)?.value;
  }

  /** Reports whether `get` would answer at once that there is no such document. */
  isKnownAbsent(id: string): boolean {
    return this.#documents.isAbsent(id, this.#options.clock.now(), this.#maxAgeMs);
  }

  /** Removes a document from the cache, so that a change made here is seen by the next `get`. */
  invalidate(id: string): void {
    this.#documents.forget(id);
    this.#reads.forget(id);
  }

  #refresh(id: string, cached: CachedDocument<T>, now: number): void {
    const { refreshStartedAt } = cached;
    if (refreshStartedAt !== undefined && now - refreshStartedAt < refreshPatienceMs) return;
    cached.refreshStartedAt = now;
    const end = () => {
      cached.refreshStartedAt = undefined;
    };
    // The caller has its answer. A failure is reported to the caller that finds the document too old.
    this.#options.defer(this.#read(id).then(end, end));
  }

  async #read(id: string): Promise<T | undefined> {
    try {
      return await this.#reads.run(id, () => this.#documents.read(id));
    } catch (error) {
      if (isEdgewiseError(error)) throw error;
      throw new EdgewiseError(
        'records_unavailable',
        `${this.#options.what} cannot be read at the moment, try again`,
        {
          cause: error,
          retryAfterSeconds: 1,
        },
      );
    }
  }

  async #inTime<R>(reading: Promise<R>): Promise<R> {
    const { clock } = this.#options;
    if ((await settledWithin(reading, { clock, ms: readTimeoutMs })) !== 'settled') {
      throw new Error(`the store did not answer within ${readTimeoutMs} ms`);
    }
    return reading;
  }
}
