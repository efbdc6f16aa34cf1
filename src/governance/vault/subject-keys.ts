/**
 * The data keys of subjects: stored wrapped by a records key (`wrapped-key.ts`), and held unwrapped in this isolate for
 * `maxAgeMs`, counted from before the read. After `destroy`, other isolates stop using a key within that time, and this
 * isolate at once.
 */
import type { CryptoKey } from 'jose';
import type { Clock } from '../../async/clock.ts';
import { Lru } from '../../async/lru.ts';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { decodeStored } from '../../repository/documents.ts';
import { changeState, changeStored } from '../../storage/compare-and-swap.ts';
import type { StateEntry, StateStore } from '../../storage/types.ts';
import type { RecordsKeys } from './records-keys.ts';
import type { DayKey } from './sealed.ts';
import { type Subject, subjectOfVaultKey, vaultKey, vaultPrefix } from './subject.ts';
import {
  type DestroyedEntry,
  importDataKey,
  newDataKey,
  unwrapDataKey,
  type VaultEntry,
  vaultEntrySchema,
  vaultSchemaId,
  wrapDataKey,
} from './wrapped-key.ts';

export interface VaultOptions {
  readonly state: StateStore;
  readonly keys: RecordsKeys;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long an unwrapped key is used before its subject is read again. Default 5 s. */
  readonly maxAgeMs?: number;
}

/** A subject's data key, and the keys and pseudonyms derived from it. */
export interface SubjectKey {
  readonly etag: string;
  readonly base: CryptoKey;
  readonly days: Lru<number, DayKey>;
  /** Name → pseudonym. */
  readonly pseudonyms: Lru<string, string>;
  /** Owned by the vault: derived from `base` when the first pseudonym is made. */
  pseudonymKey: CryptoKey | undefined;
  /** By the clock, before the key was read. */
  askedAtMs: number;
}

export interface RewrapCount {
  /** Keys that are not destroyed. */
  readonly live: number;
  /** Keys that another records key wrapped until this call. */
  readonly rewrapped: number;
}

const defaultMaxAgeMs = 5000;
const maxSubjects = 1024;
const maxDays = 32;
const maxPseudonyms = 1024;

export class SubjectKeys {
  readonly #options: VaultOptions;
  readonly #maxAgeMs: number;
  readonly #held = new Lru<Subject, SubjectKey | 'destroyed'>({ maxBytes: maxSubjects });

  constructor(options: VaultOptions) {
    this.#options = options;
    this.#maxAgeMs = options.maxAgeMs ?? defaultMaxAgeMs;
  }

  /** Returns what this isolate holds for the subject, however old. */
  held(subject: Subject): SubjectKey | 'destroyed' | undefined {
    return this.#held.get(subject);
  }

  /** Returns what this isolate holds for the subject if it is younger than `maxAgeMs`. A destroyed key stays destroyed. */
  fresh(subject: Subject): SubjectKey | 'destroyed' | undefined {
    const held = this.#held.get(subject);
    return held === undefined || held === 'destroyed' || this.#isFresh(held) ? held : undefined;
  }

  /**
   * Returns the subject's key, no older than `maxAgeMs`; undefined if it has none or its key was destroyed. A key that is read
   * is wrapped by the first records key if another one wraps it.
   *
   * @throws EdgewiseError `internal` if the key cannot be unwrapped; `overloaded` if others keep changing it.
   */
  async get(subject: Subject): Promise<SubjectKey | undefined> {
    const { clock, state } = this.#options;
    const held = this.#held.get(subject);
    const askedAtMs = clock.now();
    if (held === 'destroyed') return undefined;
    if (held !== undefined) {
      if (this.#isFresh(held)) return held;
      const entry = await state.getIfChanged(vaultKey(subject), held.etag);
      if (entry === 'unchanged' && this.#held.peek(subject) === held) {
        held.askedAtMs = Math.max(held.askedAtMs, askedAtMs);
        return held;
      }
    }
    return this.#read(subject);
  }

  /**
   * Returns as `get` does, and makes a key for a subject that has none. Returns undefined only if the key was destroyed.
   *
   * @throws EdgewiseError as `get`
   */
  async getOrCreate(subject: Subject): Promise<SubjectKey | undefined> {
    const key = await this.get(subject);
    return key ?? (this.#held.peek(subject) === 'destroyed' ? undefined : this.#store(subject, undefined));
  }

  /**
   * Destroys the subject's key for good, and keeps a new one from being made. Idempotent.
   *
   * @returns The entry of the first call: when the key was destroyed.
   */
  async destroy(subject: Subject): Promise<DestroyedEntry> {
    const { state, now } = this.#options;
    const form = { decode: (text: string) => decode(subject, text), encode: JSON.stringify };
    const destroyedNow = (before: VaultEntry | undefined): VaultEntry =>
      before?.status === 'destroyed'
        ? before
        : { schema: vaultSchemaId, status: 'destroyed', destroyedAt: new Date(now()).toISOString() };
    const what = nameOf(subject);
    const entry = await changeStored(state, vaultKey(subject), form, destroyedNow, { what });
    if (entry.status !== 'destroyed') throw new EdgewiseError('internal', `${what} was not destroyed`);
    this.#held.set(subject, 'destroyed', 1);
    return entry;
  }

  /**
   * Makes the first records key wrap every key that another one wraps, so that the others can be removed from the
   * configuration.
   *
   * @throws EdgewiseError `internal` naming a key that no configured records key wraps.
   */
  async rewrapAll(): Promise<RewrapCount> {
    const { keys, state } = this.#options;
    let live = 0;
    let rewrapped = 0;
    for (const stored of await state.list(vaultPrefix)) {
      const subject = subjectOfVaultKey(stored);
      const entry = subject && (await state.get(stored));
      const found = subject && entry && decode(subject, entry.value);
      if (subject === undefined || found?.status !== 'live') continue;
      live += 1;
      if (found.wrappedBy === keys[0].id) continue;
      await this.#store(subject, entry);
      rewrapped += 1;
    }
    return { live, rewrapped };
  }

  #isFresh({ askedAtMs }: SubjectKey): boolean {
    return this.#options.clock.now() - askedAtMs < this.#maxAgeMs;
  }

  async #read(subject: Subject): Promise<SubjectKey | undefined> {
    const { clock, keys, state } = this.#options;
    const askedAtMs = clock.now();
    const entry = await state.get(vaultKey(subject));
    if (entry === undefined) return undefined;
    const found = decode(subject, entry.value);
    if (found.status === 'destroyed') return this.#hold(subject, entry.etag, undefined, askedAtMs);
    if (found.wrappedBy !== keys[0].id) return this.#store(subject, entry);
    return this.#hold(subject, entry.etag, await unwrapDataKey(found, subject, keys), askedAtMs);
  }

  /**
   * Stores the subject's key wrapped by the first records key, a new key if it has none. A key is stored before it is used.
   *
   * @param read The entry that was just read; undefined if there was none.
   * @returns undefined if the key was destroyed.
   */
  async #store(subject: Subject, read: StateEntry | undefined): Promise<SubjectKey | undefined> {
    const { clock, keys, now, state } = this.#options;
    const askedAtMs = clock.now();
    let raw: Bytes | undefined;
    const entry = await changeState(
      state,
      vaultKey(subject),
      async (value) => {
        const found = value === undefined ? undefined : decode(subject, value);
        raw = undefined;
        if (found?.status === 'destroyed') return value;
        raw = found === undefined ? newDataKey() : await unwrapDataKey(found, subject, keys);
        if (found?.wrappedBy === keys[0].id) return value;
        const createdAt = found?.createdAt ?? new Date(now()).toISOString();
        return JSON.stringify(await wrapDataKey(raw, subject, keys, createdAt));
      },
      // Grouped, so that concurrent first records of a subject wait for one write, not for one each.
      { what: nameOf(subject), isGrouped: true, firstRead: { entry: read } },
    );
    return entry && this.#hold(subject, entry.etag, raw, askedAtMs);
  }

  /** @param raw The data key; undefined if it was destroyed. */
  async #hold(
    subject: Subject,
    etag: string,
    raw: Bytes | undefined,
    askedAtMs: number,
  ): Promise<SubjectKey | undefined> {
    const base = raw && (await importDataKey(raw));
    // A read that began before the key was destroyed may end after that.
    if (this.#held.peek(subject) === 'destroyed') return undefined;
    if (base === undefined) {
      this.#held.set(subject, 'destroyed', 1);
      return undefined;
    }
    const key: SubjectKey = {
      etag,
      base,
      days: new Lru({ maxBytes: maxDays }),
      pseudonyms: new Lru({ maxBytes: maxPseudonyms }),
      pseudonymKey: undefined,
      askedAtMs,
    };
    this.#held.set(subject, key, 1);
    return key;
  }
}

function decode(subject: Subject, text: string): VaultEntry {
  return decodeStored(vaultEntrySchema, text, nameOf(subject));
}

function nameOf(subject: Subject): string {
  return `the key of ${subject}`;
}
