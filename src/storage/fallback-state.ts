/**
 * A state store that may be unreachable, with a local copy of its last answers. The copy answers only while the primary
 * store is unreachable. An answer of the primary store always counts, also that a key is gone.
 *
 * An EdgewiseError of the primary store is its answer; any other error means that it is unreachable. A copy is stored with
 * the primary store's etag, so that callers need not know which of the two answered.
 */
import { type Clock, systemClock } from '../async/clock.ts';
import { isEdgewiseError } from '../errors.ts';
import type { KeyEtag, StateEntry, StateStore, WriteCondition } from './types.ts';

const defaultAwayMs = 5000;

export interface FallbackStateFault {
  /** `away`: the primary store is unreachable. `keep`: its answer could not be copied. */
  readonly kind: 'away' | 'keep';
  readonly error: unknown;
}

export interface FallbackStateOptions {
  /** Its etags must not contain line breaks. */
  readonly primary: StateStore;
  /** Holds the copies. */
  readonly kept: StateStore;
  readonly clock?: Clock;
  /** How long after a failure the primary store is not asked again, so that requests do not wait for it. Default 5000. */
  readonly awayMs?: number;
  readonly onFault?: (fault: FallbackStateFault) => void;
}

export function fallbackStateStore(options: FallbackStateOptions): StateStore {
  return new FallbackStateStore(options);
}

class FallbackStateStore implements StateStore {
  readonly name: string;
  readonly listEtags?: (prefix: string) => Promise<readonly KeyEtag[]>;
  readonly #options: FallbackStateOptions;
  readonly #clock: Clock;
  #failure: { readonly error: unknown; readonly atMs: number } | undefined;

  constructor(options: FallbackStateOptions) {
    const { primary, clock = systemClock } = options;
    this.name = primary.name;
    this.#options = options;
    this.#clock = clock;
    const listEtags = primary.listEtags?.bind(primary);
    if (listEtags !== undefined) {
      this.listEtags = (prefix) =>
        this.#askOrFallBack(
          () => listEtags(prefix),
          () => this.#listCopies(prefix),
        );
    }
  }

  get(key: string): Promise<StateEntry | undefined> {
    return this.#askOrFallBack(
      async () => {
        const entry = await this.#options.primary.get(key);
        await this.#keep(key, entry);
        return entry;
      },
      () => this.#readCopy(key),
    );
  }

  getIfChanged(key: string, etag: string): Promise<StateEntry | 'unchanged' | undefined> {
    return this.#askOrFallBack<StateEntry | 'unchanged' | undefined>(
      async () => {
        const answer = await this.#options.primary.getIfChanged(key, etag);
        if (answer !== 'unchanged') await this.#keep(key, answer);
        return answer;
      },
      async () => {
        const entry = await this.#readCopy(key);
        return entry?.etag === etag ? 'unchanged' : entry;
      },
    );
  }

  put(key: string, value: string, condition: WriteCondition): Promise<string | undefined> {
    return this.#options.primary.put(key, value, condition);
  }

  delete(key: string, condition: { readonly ifMatch: string }): Promise<boolean> {
    return this.#options.primary.delete(key, condition);
  }

  list(prefix: string): Promise<readonly string[]> {
    const { primary, kept } = this.#options;
    return this.#askOrFallBack(
      () => primary.list(prefix),
      () => kept.list(prefix),
    );
  }

  /** Returns the answer of `ask`, or, if the primary store is unreachable, of `fallBack`. Throws if that has no answer. */
  async #askOrFallBack<T>(ask: () => Promise<T>, fallBack: () => Promise<T | undefined>): Promise<T> {
    const { awayMs = defaultAwayMs, onFault } = this.#options;
    let failure = this.#failure;
    if (failure === undefined || this.#clock.now() - failure.atMs >= awayMs) {
      try {
        const answer = await ask();
        this.#failure = undefined;
        return answer;
      } catch (error) {
        if (isEdgewiseError(error)) throw error;
        failure = { error, atMs: this.#clock.now() };
        this.#failure = failure;
        onFault?.({ kind: 'away', error });
      }
    }
    const copy = await fallBack();
    if (copy === undefined) throw failure.error;
    return copy;
  }

  async #readCopy(key: string): Promise<StateEntry | undefined> {
    const entry = await this.#options.kept.get(key);
    return entry && decodeCopy(entry.value);
  }

  async #listCopies(prefix: string): Promise<readonly KeyEtag[]> {
    const keys = await this.#options.kept.list(prefix);
    const entries = await Promise.all(keys.map(async (key) => ({ key, entry: await this.#readCopy(key) })));
    return entries.flatMap(({ key, entry }) => (entry ? [{ key, etag: entry.etag }] : []));
  }

  /** Copies an answer. A failure is reported, not thrown: it only costs the fallback. */
  async #keep(key: string, entry: StateEntry | undefined): Promise<void> {
    const { kept, onFault } = this.#options;
    try {
      const standing = await kept.get(key);
      const value = entry && encodeCopy(entry);
      if (value === standing?.value) return;
      if (value === undefined) {
        if (standing !== undefined) await kept.delete(key, { ifMatch: standing.etag });
      } else {
        // A lost race does no harm: another reader has copied the same store.
        await kept.put(key, value, standing === undefined ? { ifAbsent: true } : { ifMatch: standing.etag });
      }
    } catch (error) {
      onFault?.({ kind: 'keep', error });
    }
  }
}

function encodeCopy({ etag, value }: StateEntry): string {
  return `${etag}\n${value}`;
}

function decodeCopy(text: string): StateEntry {
  const end = text.indexOf('\n');
  return { etag: text.slice(0, end), value: text.slice(end + 1) };
}
