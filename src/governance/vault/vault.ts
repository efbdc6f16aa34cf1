/**
 * Records that are erased by destroying a key: each subject has a data key (`subject-keys.ts`), and its records are
 * encrypted under keys derived from it (`sealed.ts`).
 *
 * An isolate trusts an unwrapped data key for `maxAgeMs`, counted from before it was read. So once that time has passed
 * after `destroy`, the subject's records open nowhere; in the isolate that called it, they stop opening at once.
 */
import { type Bytes, toHex, utf8 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { hkdf } from './records-keys.ts';
import * as sealed from './sealed.ts';
import type { Subject } from './subject.ts';
import { type RewrapCount, type SubjectKey, SubjectKeys, type VaultOptions } from './subject-keys.ts';
import type { DestroyedEntry } from './wrapped-key.ts';

/** Encrypts `bytes`; they open only with the same `context`. */
export type Seal = (bytes: Bytes, context: string) => Promise<Bytes>;

const pseudonymBytes = 16;

export class Vault {
  readonly #now: () => number;
  readonly #keys: SubjectKeys;

  constructor(options: VaultOptions) {
    this.#now = options.now;
    this.#keys = new SubjectKeys(options);
  }

  /**
   * Encrypts `bytes` for `subject`; they open only with the same `context` (the record's id). Makes a key for a subject
   * that has none.
   *
   * @returns Undefined if the subject's key was destroyed: nothing about the subject may be stored any more.
   * @throws EdgewiseError `internal` if its key cannot be unwrapped; `overloaded` if others keep changing it.
   */
  async seal(subject: Subject, bytes: Bytes, context: string): Promise<Bytes | undefined> {
    const seal = await this.sealer(subject);
    return seal && (await seal(bytes, context));
  }

  /**
   * Returns the function that seals under the subject's present key, without a promise if the key is held, which is nearly
   * always. Used after the key was destroyed, it makes records that do not open. Undefined if the key is destroyed.
   *
   * @throws EdgewiseError (by the promise) as `seal` does.
   */
  sealer(subject: Subject): Seal | undefined | Promise<Seal | undefined> {
    const day = sealed.dayOf(this.#now());
    const held = this.#keys.fresh(subject);
    if (held === 'destroyed') return undefined;
    const key = held?.days.get(day);
    return key === undefined ? this.#readSealer(subject, day) : sealWith(key, subject);
  }

  async #readSealer(subject: Subject, day: number): Promise<Seal | undefined> {
    const key = await this.#keys.getOrCreate(subject);
    return key && sealWith(await deriveDayKey(key, day), subject);
  }

  /**
   * Returns the pseudonym of `name` in the subject's records: an HMAC under a key derived from the subject's data key. With
   * that key destroyed, a pseudonym can no longer be matched to a name. No promise if the same name was asked for before;
   * undefined if the key was destroyed.
   *
   * @throws EdgewiseError (by the promise) as `seal` does.
   */
  pseudonym(subject: Subject, name: string): string | undefined | Promise<string | undefined> {
    const held = this.#keys.held(subject);
    const made = held === 'destroyed' ? undefined : held?.pseudonyms.get(name);
    return made ?? this.#makePseudonym(subject, name);
  }

  async #makePseudonym(subject: Subject, name: string): Promise<string | undefined> {
    const key = await this.#keys.getOrCreate(subject);
    return key && derivePseudonym(key, name);
  }

  /**
   * Decrypts a record. Undefined if `subject` has no key, its key was destroyed, or the record is labelled as another
   * subject's.
   *
   * @throws EdgewiseError `internal` if the record was changed or sealed with another `context`.
   */
  async open(subject: Subject, record: Bytes, context: string): Promise<Bytes | undefined> {
    const day = sealed.dayOfSealed(record);
    if (day === undefined) {
      throw new EdgewiseError('internal', `a record of ${record.byteLength} bytes is not a sealed record`);
    }
    const key = await this.#keys.get(subject);
    const dayKey = key && (await deriveDayKey(key, day));
    if (dayKey === undefined || !sealed.isLabelled(record, dayKey)) return undefined;
    return sealed.open(dayKey, subject, context, record);
  }

  /**
   * Destroys the subject's key for good: none of its records opens again, and no more are sealed. Idempotent.
   *
   * @returns The entry of the first call: when the key was destroyed.
   */
  destroy(subject: Subject): Promise<DestroyedEntry> {
    return this.#keys.destroy(subject);
  }

  /** As `SubjectKeys.rewrapAll`. */
  rewrapAll(): Promise<RewrapCount> {
    return this.#keys.rewrapAll();
  }
}

function sealWith(key: sealed.DayKey, subject: Subject): Seal {
  return (bytes, context) => sealed.seal(key, subject, context, bytes);
}

async function deriveDayKey({ base, days }: SubjectKey, day: number): Promise<sealed.DayKey> {
  const held = days.get(day);
  if (held !== undefined) return held;
  const derived = await sealed.deriveDayKey(base, day);
  days.set(day, derived, 1);
  return derived;
}

/** Returns 32 hex digits. */
async function derivePseudonym(key: SubjectKey, name: string): Promise<string> {
  key.pseudonymKey ??= await crypto.subtle.deriveKey(
    hkdf('edgewise.vault.v1\0pseudonym'),
    key.base,
    { name: 'HMAC', hash: 'SHA-256', length: 256 },
    false,
    ['sign'],
  );
  const mac = await crypto.subtle.sign('HMAC', key.pseudonymKey, utf8(name));
  const pseudonym = toHex(new Uint8Array(mac, 0, pseudonymBytes));
  key.pseudonyms.set(name, pseudonym, 1);
  return pseudonym;
}
