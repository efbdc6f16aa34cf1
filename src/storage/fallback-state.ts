/**
 * A state store that may be out of reach, and what was last read from it, kept near. The near copy answers while the store
 * is away, and only then: what the store says, that a key is gone too, always counts.
 *
 * The store tells the two apart by what it throws: an EdgewiseError is its decision, anything else means that it could not
 * be asked. A kept value stands behind the store's own etag, so that it makes no difference which of the two answered.
 */
import { type Clock, systemClock } from '../async/clock.ts';
import { isEdgewiseError } from '../errors.ts';
import type { StateEntry, StateStore } from './types.ts';

export interface FallbackStateFault {
  /** `away`: the store could not be asked. `keep`: what it said could not be kept. */
  readonly kind: 'away' | 'keep';
  readonly error: unknown;
}

export interface FallbackStateOptions {
  /** The store that decides; its etags hold no line break. */
  readonly primary: StateStore;
  /** Where its answers are kept. */
  readonly kept: StateStore;
  readonly clock?: Clock;
  /** After a failure, the time within which the store is not asked again: nobody waits anew for what is away. Default 5000. */
  readonly awayMs?: number;
  readonly onFault?: (fault: FallbackStateFault) => void;
}

export function fallbackStateStore(options: FallbackStateOptions): StateStore {
  const { primary, kept, clock = systemClock, awayMs = 5000, onFault } = options;
  let failure: { readonly error: unknown; readonly atMs: number } | undefined;

  /** What `ask` gives, or what `instead` finds of it near; where it finds nothing, why the store could not be asked. */
  async function unlessAway<T>(ask: () => Promise<T>, instead: () => Promise<T | undefined>): Promise<T> {
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
    const near = await instead();
    if (near === undefined) throw error;
    return near;
  }

  async function keptEntry(key: string): Promise<StateEntry | undefined> {
    const entry = await kept.get(key);
    return entry && unpacked(entry.value);
  }

  /** A copy that cannot be written costs nothing but the fallback. */
  async function keep(key: string, entry: StateEntry | undefined): Promise<void> {
    try {
      const standing = await kept.get(key);
      const value = entry && packed(entry);
      if (value === standing?.value) return;
      if (value === undefined) {
        if (standing !== undefined) await kept.delete(key, { ifMatch: standing.etag });
      } else {
        // A lost race was lost to another reader of the same store.
        await kept.put(key, value, standing === undefined ? { ifAbsent: true } : { ifMatch: standing.etag });
      }
    } catch (error) {
      onFault?.({ kind: 'keep', error });
    }
  }

  async function asked(key: string): Promise<StateEntry | undefined> {
    const entry = await primary.get(key);
    await keep(key, entry);
    return entry;
  }

  return {
    name: primary.name,
    get: (key) =>
      unlessAway(
        () => asked(key),
        () => keptEntry(key),
      ),
    getIfChanged: (key, etag) =>
      unlessAway<StateEntry | 'unchanged' | undefined>(
        async () => {
          const answer = await primary.getIfChanged(key, etag);
          if (answer !== 'unchanged') await keep(key, answer);
          return answer;
        },
        async () => {
          const entry = await keptEntry(key);
          return entry?.etag === etag ? 'unchanged' : entry;
        },
      ),
    put: (key, value, condition) => primary.put(key, value, condition),
    delete: (key, condition) => primary.delete(key, condition),
    list: (prefix) =>
      unlessAway(
        () => primary.list(prefix),
        () => kept.list(prefix),
      ),
    ...(primary.listEtags && {
      listEtags: (prefix) =>
        unlessAway(
          async () => (await primary.listEtags?.(prefix)) ?? [],
          async () => {
            const entries = await Promise.all(
              (await kept.list(prefix)).map(async (key) => ({ key, entry: await keptEntry(key) })),
            );
            return entries.flatMap(({ key, entry }) => (entry ? [{ key, etag: entry.etag }] : []));
          },
        ),
    }),
  };
}

function packed({ etag, value }: StateEntry): string {
  return `${etag}\n${value}`;
}

function unpacked(text: string): StateEntry {
  const end = text.indexOf('\n');
  return { etag: text.slice(0, end), value: text.slice(end + 1) };
}
