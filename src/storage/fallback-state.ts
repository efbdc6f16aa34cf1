/**
 * A state store that may be unreachable, with a local copy of its last answers. The copy answers only while the primary
 * store is unreachable. An answer of the primary store always counts, also that a key is gone.
 *
 * An EdgewiseError of the primary store is its answer; any other error means that it is unreachable. A copy is stored with
 * the primary store's etag, so that callers need not know which of the two answered.
 */
import { type Clock, systemClock } from '../async/clock.ts';
import { isEdgewiseError } from '../errors.ts';
import type { StateEntry, StateStore } from './types.ts';

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
  const { primary, kept, clock = systemClock, awayMs = 5000, onFault } = options;
  let failure: { readonly error: unknown; readonly atMs: number } | undefined;

  /** Returns the answer of `ask`, or, if the primary store is unreachable, of `fallBack`. Throws if that has no answer. */
  async function askOrFallBack<T>(ask: () => Promise<T>, fallBack: () => Promise<T | undefined>): Promise<T> {
    if (failure === undefined || clock.now() - failure.atMs >= awayMs) {
      try {
        const answer = await ask();
        failure = undefined;
        return answer;
      } catch (error) {
        if (isEdgewiseError(error)) throw error;
        failure = { error, atMs: clock.now() };
        onFault?.({ kind: 'away', error });
      }
    }
    const { error } = failure;
    const copy = await fallBack();
    if (copy === undefined) throw error;
    return copy;
  }

  async function readCopy(key: string): Promise<StateEntry | undefined> {
    const entry = await kept.get(key);
    return entry && decodeCopy(entry.value);
  }

  /** Copies an answer. A failure is reported, not thrown: it only costs the fallback. */
  async function keep(key: string, entry: StateEntry | undefined): Promise<void> {
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

  async function askAndKeep(key: string): Promise<StateEntry | undefined> {
    const entry = await primary.get(key);
    await keep(key, entry);
    return entry;
  }

  return {
    name: primary.name,
    get: (key) =>
      askOrFallBack(
        () => askAndKeep(key),
        () => readCopy(key),
      ),
    getIfChanged: (key, etag) =>
      askOrFallBack<StateEntry | 'unchanged' | undefined>(
        async () => {
          const answer = await primary.getIfChanged(key, etag);
          if (answer !== 'unchanged') await keep(key, answer);
          return answer;
        },
        async () => {
          const entry = await readCopy(key);
          return entry?.etag === etag ? 'unchanged' : entry;
        },
      ),
    put: (key, value, condition) => primary.put(key, value, condition),
    delete: (key, condition) => primary.delete(key, condition),
    list: (prefix) =>
      askOrFallBack(
        () => primary.list(prefix),
        () => kept.list(prefix),
      ),
    ...(primary.listEtags && {
      listEtags: (prefix) =>
        askOrFallBack(
          async () => (await primary.listEtags?.(prefix)) ?? [],
          async () => {
            const entries = await Promise.all(
              (await kept.list(prefix)).map(async (key) => ({ key, entry: await readCopy(key) })),
            );
            return entries.flatMap(({ key, entry }) => (entry ? [{ key, etag: entry.etag }] : []));
          },
        ),
    }),
  };
}

function encodeCopy({ etag, value }: StateEntry): string {
  return `${etag}\n${value}`;
}

function decodeCopy(text: string): StateEntry {
  const end = text.indexOf('\n');
  return { etag: text.slice(0, end), value: text.slice(end + 1) };
}
