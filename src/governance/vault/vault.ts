/**
 * Records that can be erased by destroying a key: each subject has a data key, stored wrapped by a records key
 * (`wrapped-key.ts`), and its records are encrypted under keys derived from it (`sealed.ts`).
 *
 * An isolate trusts a data key that it has unwrapped for `maxAgeMs`, counted from before it was read. So after `destroy` a
 * record opens nowhere once that time is over, and in the isolate that destroyed it not at all.
 */

import type { CryptoKey } from 'jose';
import type { Clock } from '../../async/clock.ts';
import { Lru } from '../../async/lru.ts';
import { toHex } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { decodeStored } from '../../repository/documents.ts';
import type { StateEntry, StateStore, WriteCondition } from '../../storage/types.ts';
import { hkdf, type RecordsKeys } from './records-keys.ts';
import * as sealed from './sealed.ts';
import { type Subject, subjectOfVaultKey, vaultKey, vaultPrefix } from './subject.ts';
import {
  type DestroyedEntry,
  importDataKey,
  newDataKey,
  unwrapped,
  type VaultEntry,
  vaultEntrySchema,
  vaultSchemaId,
  wrapped,
} from './wrapped-key.ts';

export interface VaultOptions {
  readonly state: StateStore;
  readonly keys: RecordsKeys;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long an unwrapped key is used before its subject is looked at again. Default 5 s. */
  readonly maxAgeMs?: number;
}

/** A subject as this isolate knows it. */
interface Known {
  readonly etag: string;
  /** Undefined: destroyed. */
  readonly base: CryptoKey | undefined;
  readonly days: Lru<number, sealed.DayKey>;
  /** By the name that they stand for; gone with the key. */
  readonly pseudonyms: Lru<string, string>;
  /** Owned by `pseudonymUnder`. */
  pseudonymKey: CryptoKey | undefined;
  /** By the clock, before it was read. */
  askedAtMs: number;
}

/** `bytes` encrypted, to be opened with the same `context` alone. */
export type Seal = (bytes: Uint8Array<ArrayBuffer>, context: string) => Promise<Uint8Array<ArrayBuffer>>;

export interface Rewrapped {
  /** Keys that stand. */
  readonly live: number;
  /** Of them those that the first records key wraps only now. */
  readonly rewrapped: number;
}

const defaultMaxAgeMs = 5000;
const maxSubjects = 1024;
const maxDays = 32;
const maxPseudonyms = 1024;
const pseudonymBytes = 16;
/** Each lost round means that another writer has won one. */
const maxAttempts = 20;

export class Vault {
  readonly #options: VaultOptions;
  readonly #maxAgeMs: number;
  readonly #known = new Lru<Subject, Known>({ maxBytes: maxSubjects });

  constructor(options: VaultOptions) {
    this.#options = options;
    this.#maxAgeMs = options.maxAgeMs ?? defaultMaxAgeMs;
  }

  /**
   * `bytes` encrypted for `subject`, to be opened with the same `context` (what the record is: its id) alone. A subject
   * without a key is given one. Undefined where its key was destroyed: nothing of it is to be kept any more.
   *
   * @throws EdgewiseError `internal` when its key cannot be unwrapped; `overloaded` when too many change it at once.
   */
  async seal(
    subject: Subject,
    bytes: Uint8Array<ArrayBuffer>,
    context: string,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const seal = await this.sealer(subject);
    return seal && (await seal(bytes, context));
  }

  /**
   * What seals for `subject` as it stands now. Used later than that, after its key was destroyed, it makes what nobody can
   * open. Undefined where its key was destroyed. No promise where the key is at hand, which is nearly always.
   *
   * @throws EdgewiseError (by the promise) as `seal` does.
   */
  sealer(subject: Subject): Seal | undefined | Promise<Seal | undefined> {
    const day = sealed.dayOf(this.#options.now());
    const known = this.#known.get(subject);
    if (known !== undefined && this.#isFresh(known)) {
      if (known.base === undefined) return undefined;
      const key = known.days.get(day);
      if (key !== undefined) return sealWith(key, subject);
    }
    return this.#readSealer(subject, day);
  }

  async #readSealer(subject: Subject, day: number): Promise<Seal | undefined> {
    const known = await this.#current(subject, true);
    const key = known && (await dayKeyOf(known, day));
    return key && sealWith(key, subject);
  }

  /**
   * What `name` is called in the subject's records: an HMAC under a key that is derived from the subject's own and is gone
   * with it, so that afterwards nobody can tell whether a pseudonym is of a name. Undefined when its key was destroyed. No
   * promise when it was asked for before.
   *
   * @throws EdgewiseError (by the promise) as `seal` does.
   */
  pseudonym(subject: Subject, name: string): string | undefined | Promise<string | undefined> {
    const known = this.#known.get(subject);
    return known?.pseudonyms.get(name) ?? this.#makePseudonym(subject, name);
  }

  async #makePseudonym(subject: Subject, name: string): Promise<string | undefined> {
    const known = await this.#current(subject, true);
    return known && pseudonymUnder(known, name);
  }

  /**
   * What was sealed. Undefined where `subject` has no key, its key was destroyed, or the record is labelled as another's.
   *
   * @throws EdgewiseError `internal` when the record was changed, or is of another `context`.
   */
  async open(
    subject: Subject,
    record: Uint8Array<ArrayBuffer>,
    context: string,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const day = sealed.dayOfSealed(record);
    if (day === undefined) {
      throw new EdgewiseError('internal', `a record of ${record.byteLength} bytes is none that was sealed`);
    }
    const known = await this.#current(subject, false);
    const key = known && (await dayKeyOf(known, day));
    if (key === undefined || !sealed.isLabelled(record, key)) return undefined;
    return sealed.open(key, subject, context, record);
  }

  /**
   * Destroys the subject's key, for good: nothing that was sealed for it opens again, nothing more is sealed. Idempotent.
   *
   * @returns when it was destroyed, the first time.
   */
  async destroy(subject: Subject): Promise<DestroyedEntry> {
    const { clock, state, now } = this.#options;
    const key = vaultKey(subject);
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      const askedAtMs = clock.now();
      const entry = await state.get(key);
      const before = entry && read(subject, entry.value);
      if (entry !== undefined && before?.status === 'destroyed') {
        this.#keep(subject, entry, undefined, askedAtMs);
        return before;
      }
      const after: DestroyedEntry = {
        schema: vaultSchemaId,
        status: 'destroyed',
        destroyedAt: new Date(now()).toISOString(),
      };
      const condition = entry === undefined ? { ifAbsent: true as const } : { ifMatch: entry.etag };
      const etag = await state.put(key, JSON.stringify(after), condition);
      if (etag !== undefined) {
        this.#keep(subject, { etag }, undefined, askedAtMs);
        return after;
      }
    }
    throw crowded(subject);
  }

  /**
   * Has the first records key wrap every key that another one wraps, so that the others can be taken out of the
   * configuration.
   *
   * @throws EdgewiseError `internal` naming a key that none of the configured ones wraps.
   */
  async rewrapAll(): Promise<Rewrapped> {
    const { keys, state } = this.#options;
    let live = 0;
    let rewrapped = 0;
    for (const stored of await state.list(vaultPrefix)) {
      const subject = subjectOfVaultKey(stored);
      const entry = subject && (await state.get(stored));
      const found = subject && entry && read(subject, entry.value);
      if (subject === undefined || found?.status !== 'live') continue;
      live += 1;
      if (found.wrappedBy === keys[0].id) continue;
      await this.#read(subject, false);
      rewrapped += 1;
    }
    return { live, rewrapped };
  }

  /** The subject's key as it stands, no older than `maxAgeMs`; undefined where it has none, or none any more. */
  async #current(subject: Subject, make: boolean): Promise<Known | undefined> {
    const { clock, state } = this.#options;
    const known = this.#known.get(subject);
    const askedAtMs = clock.now();
    if (known !== undefined) {
      if (this.#isFresh(known)) return usable(known);
      const entry = await state.getIfChanged(vaultKey(subject), known.etag);
      if (entry === 'unchanged' && this.#known.peek(subject) === known) {
        known.askedAtMs = Math.max(known.askedAtMs, askedAtMs);
        return usable(known);
      }
    }
    return usable(await this.#read(subject, make));
  }

  /** What is destroyed stays so. */
  #isFresh({ base, askedAtMs }: Known): boolean {
    return base === undefined || this.#options.clock.now() - askedAtMs < this.#maxAgeMs;
  }

  async #read(subject: Subject, make: boolean): Promise<Known | undefined> {
    const { clock, keys, now, state } = this.#options;
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      const askedAtMs = clock.now();
      const entry = await state.get(vaultKey(subject));
      if (entry === undefined) {
        if (!make) return undefined;
        const createdAt = new Date(now()).toISOString();
        const made = await this.#store(subject, newDataKey(), createdAt, { ifAbsent: true }, askedAtMs);
        if (made !== undefined) return made;
        continue;
      }
      const found = read(subject, entry.value);
      if (found.status === 'destroyed') return this.#keep(subject, entry, undefined, askedAtMs);
      const raw = await unwrapped(found, subject, keys);
      if (found.wrappedBy === keys[0].id) {
        return this.#keep(subject, entry, await importDataKey(raw), askedAtMs);
      }
      const unless = { ifMatch: entry.etag };
      const rewrapped = await this.#store(subject, raw, found.createdAt, unless, askedAtMs);
      if (rewrapped !== undefined) return rewrapped;
    }
    throw crowded(subject);
  }

  /** Stores the key as the first records key wraps it: nothing is sealed under it before. Undefined: another was first. */
  async #store(
    subject: Subject,
    raw: Uint8Array<ArrayBuffer>,
    createdAt: string,
    condition: WriteCondition,
    askedAtMs: number,
  ): Promise<Known | undefined> {
    const { keys, state } = this.#options;
    const entry = await wrapped(raw, subject, keys, createdAt);
    const etag = await state.put(vaultKey(subject), JSON.stringify(entry), condition);
    return etag === undefined
      ? undefined
      : this.#keep(subject, { etag }, await importDataKey(raw), askedAtMs);
  }

  #keep(
    subject: Subject,
    { etag }: Pick<StateEntry, 'etag'>,
    base: CryptoKey | undefined,
    askedAtMs: number,
  ): Known {
    const standing = this.#known.peek(subject);
    // A read that began before the key was destroyed may end after it.
    if (standing !== undefined && standing.base === undefined) return standing;
    const known: Known = {
      etag,
      base,
      days: new Lru({ maxBytes: maxDays }),
      pseudonyms: new Lru({ maxBytes: maxPseudonyms }),
      pseudonymKey: undefined,
      askedAtMs,
    };
    this.#known.set(subject, known, 1);
    return known;
  }
}

function sealWith(key: sealed.DayKey, subject: Subject): Seal {
  return (bytes, context) => sealed.seal(key, subject, context, bytes);
}

function usable(known: Known | undefined): Known | undefined {
  return known?.base === undefined ? undefined : known;
}

async function dayKeyOf({ base, days }: Known, day: number): Promise<sealed.DayKey | undefined> {
  const kept = days.get(day);
  if (kept !== undefined || base === undefined) return kept;
  const made = await sealed.dayKey(base, day);
  days.set(day, made, 1);
  return made;
}

/** 32 hex digits. */
async function pseudonymUnder(known: Known, name: string): Promise<string | undefined> {
  const { base, pseudonyms } = known;
  if (base === undefined) return undefined;
  known.pseudonymKey ??= await crypto.subtle.deriveKey(
    hkdf('edgewise.vault.v1\0pseudonym'),
    base,
    { name: 'HMAC', hash: 'SHA-256', length: 256 },
    false,
    ['sign'],
  );
  const mac = await crypto.subtle.sign('HMAC', known.pseudonymKey, new TextEncoder().encode(name));
  const pseudonym = toHex(new Uint8Array(mac, 0, pseudonymBytes));
  pseudonyms.set(name, pseudonym, 1);
  return pseudonym;
}

function read(subject: Subject, text: string): VaultEntry {
  return decodeStored(vaultEntrySchema, text, `the key of ${subject}`);
}

function crowded(subject: Subject): EdgewiseError {
  return new EdgewiseError('overloaded', `the key of ${subject} is being changed by too many at once`, {
    retryAfterSeconds: 1,
  });
}
