/**
 * Small documents of a state store, kept in memory for as long as they may be believed: what a right hangs on and many
 * requests ask for. No answer is older than `maxAgeMs`, counted from before its read began; older ones are read again
 * before they are answered from. Documents in use are read again in the background before that, so requests seldom wait.
 * A store that cannot be read, or does not answer in time, is an error and never an old answer.
 */
import type { Clock } from '../async/clock.ts';
import { settledWithin } from '../async/deadline.ts';
import { Lru } from '../async/lru.ts';
import { SingleFlight } from '../async/single-flight.ts';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import type { Defer, StateStore } from './types.ts';

export const defaultMaxAgeMs = 5000;
/** Share of the age after which a document in use is read again in the background. */
const refreshAt = 0.6;
const readTimeoutMs = 3000;
/** A deferred read that is not back by then has died with its request; the next one may try. */
const refreshPatienceMs = 2000;
const defaultMaxTextLength = 2 * 1024 * 1024;
/** Ids without a document that are remembered. They have a room of their own: who makes ids up pushes no document out. */
const maxUnknown = 1024;

export interface CachedDocumentsOptions<T> {
  readonly state: StateStore;
  readonly clock: Clock;
  readonly defer: Defer;
  /** For messages: `the keys`. */
  readonly what: string;
  readonly keyOf: (id: string) => string;
  /** @throws EdgewiseError where the text is no such document. */
  readonly decode: (id: string, text: string) => T;
  /** Default 5000. */
  readonly maxAgeMs?: number;
  /** Of the documents kept, together. What they are parsed into takes a few times as much. Default 2 Mi. */
  readonly maxTextLength?: number;
}

interface Cached<T> {
  readonly value: T;
  readonly etag: string;
  readonly textLength: number;
  readonly readAt: number;
}

export class CachedDocuments<T> {
  readonly #options: CachedDocumentsOptions<T>;
  readonly #maxAgeMs: number;
  readonly #documents: Lru<string, Cached<T>>;
  /** Id → when it was found to have no document. */
  readonly #unknown = new Lru<string, number>({ maxBytes: maxUnknown });
  readonly #reads: SingleFlight<string, T | undefined>;
  /** Owned by `#refresh`: when the deferred read of a document began. */
  readonly #refreshing = new Map<string, number>();
  /** Counts invalidations: a read that began before one does not fill the caches after it. */
  #epoch = 0;

  constructor(options: CachedDocumentsOptions<T>) {
    const { clock, defer, maxAgeMs = defaultMaxAgeMs, maxTextLength = defaultMaxTextLength } = options;
    this.#options = options;
    this.#maxAgeMs = maxAgeMs;
    this.#documents = new Lru({ maxBytes: maxTextLength });
    this.#reads = new SingleFlight({ clock, defer, patienceMs: readTimeoutMs });
  }

  /**
   * The document, or undefined where there is none. Answers at once, not by a promise, from what is young enough.
   *
   * @throws EdgewiseError (by the promise) `records_unavailable` when the store cannot be read; `internal` when what it
   * holds cannot.
   */
  get(id: string): T | undefined | Promise<T | undefined> {
    const now = this.#options.clock.now();
    const cached = this.#documents.get(id);
    if (cached !== undefined) {
      const ageMs = now - cached.readAt;
      if (ageMs < this.#maxAgeMs) {
        if (ageMs >= this.#maxAgeMs * refreshAt) this.#refresh(id, now);
        return cached.value;
      }
    } else if (this.knowsAbsent(id)) {
      return undefined;
    }
    return this.#read(id);
  }

  /** What was read last, however old: good for a guess of what to read next, and for nothing else. */
  last(id: string): T | undefined {
    return this.#documents.peek(id)?.value;
  }

  /** Whether `get` would answer at once that there is no such document. */
  knowsAbsent(id: string): boolean {
    const absentAt = this.#unknown.get(id);
    return absentAt !== undefined && this.#options.clock.now() - absentAt < this.#maxAgeMs;
  }

  /** Forgets one document: whoever has changed it is answered from the store next. */
  invalidate(id: string): void {
    this.#epoch += 1;
    this.#documents.delete(id);
    this.#unknown.delete(id);
    this.#reads.forget(id);
  }

  #refresh(id: string, now: number): void {
    const startedAt = this.#refreshing.get(id);
    if (startedAt !== undefined && now - startedAt < refreshPatienceMs) return;
    this.#refreshing.set(id, now);
    const done = () => {
      this.#refreshing.delete(id);
    };
    // The caller has its answer; a failure is met again, by the caller who finds the document too old.
    this.#options.defer(this.#read(id).then(done, done));
  }

  async #read(id: string): Promise<T | undefined> {
    try {
      return await this.#reads.run(id, () => this.#fetch(id));
    } catch (error) {
      if (isEdgewiseError(error)) throw error;
      throw new EdgewiseError('records_unavailable', `${this.#options.what} cannot be read now`, {
        cause: error,
        retryAfterSeconds: 1,
      });
    }
  }

  /** Reads the document, moving it only where it is not the one that is known, and keeps it. */
  async #fetch(id: string): Promise<T | undefined> {
    const { clock, decode, keyOf, state } = this.#options;
    const epoch = this.#epoch;
    const readAt = clock.now();
    const known = this.#documents.peek(id);
    const key = keyOf(id);
    const entry = await this.#inTime(
      known === undefined ? state.get(key) : state.getIfChanged(key, known.etag),
    );
    const read =
      entry === undefined || entry === 'unchanged'
        ? entry && known && { ...known, readAt }
        : {
            value: decode(id, entry.value),
            etag: entry.etag,
            textLength: entry.value.length,
            readAt,
          };
    const standing = this.#documents.peek(id);
    if (epoch === this.#epoch && (standing === undefined || standing.readAt <= readAt)) {
      this.#documents.delete(id);
      this.#unknown.delete(id);
      if (read === undefined) this.#unknown.set(id, readAt, 1);
      else this.#documents.set(id, read, read.textLength);
    }
    return read?.value;
  }

  async #inTime<R>(reading: Promise<R>): Promise<R> {
    const { clock } = this.#options;
    if ((await settledWithin(reading, { clock, ms: readTimeoutMs })) !== 'settled') {
      throw new Error(`the store did not answer within ${readTimeoutMs} ms`);
    }
    return reading;
  }
}
