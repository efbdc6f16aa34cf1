/**
 * Changes one state key by compare-and-swap, so that concurrent changes all succeed. Each isolate has a queue of changes per
 * key. The change at the head of the queue may also make queued changes, in the same write. If another isolate writes first,
 * the change is retried after a random, growing pause. A failed write is retried too: R2 accepts about one write per second
 * per key.
 */
import { type Clock, systemClock } from '../async/clock.ts';
import { Mutex } from '../async/mutex.ts';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import type { StateEntry, StateStore } from './types.ts';

/**
 * Returns the next value for the current one. Undefined deletes the key; the same value writes nothing. May be called several
 * times, so it must have no effects other than variables that the caller reads after the change.
 */
export type NextValue = (value: string | undefined) => string | undefined | Promise<string | undefined>;

export interface ChangeStateOptions {
  /** Names what is changed, for messages: `tenant acme`. */
  readonly what: string;
  /** Allows the change to share one write with others. Another request may then run it, so it must only compute. */
  readonly isGrouped?: boolean;
  /** The entry that the caller has just read; replaces the first read unless the change has to wait in the queue. */
  readonly firstRead?: { readonly entry: StateEntry | undefined } | undefined;
  /** For time limits and the pauses between attempts. Default: the system clock. */
  readonly clock?: Clock | undefined;
}

/** How a document of type T is read from and written to a state key. */
export interface StoredForm<T> {
  readonly decode: (text: string) => T;
  readonly encode: (document: T) => string;
}

/** Time limit of one change, including its wait in the queue. */
const patienceMs = 25_000;
const firstPauseMs = 10;
const maxPauseMs = 1000;
/** Counts writes that failed, not writes that lost a race. */
const maxFailedWrites = 5;

type Outcome = { readonly error: unknown } | { readonly entry: StateEntry | undefined };

interface QueuedChange {
  readonly change: NextValue;
  /** Undefined until the change is made or has failed. */
  outcome: Outcome | undefined;
}

/** The changes of one key in this isolate. */
interface Queue {
  readonly turns: Mutex;
  /** Changes that any turn may make. */
  readonly grouped: Set<QueuedChange>;
}

const queuesOfStore = new WeakMap<StateStore, Map<string, Queue>>();

/**
 * Changes the document under `key`. `change` gets the current document, undefined if there is none, and returns the next
 * document. The same object writes nothing. `change` may be called several times.
 *
 * @returns The document after this change.
 * @throws EdgewiseError as `changeState` does; what `decode`, `change` and `encode` throw.
 */
export async function changeStored<T>(
  state: StateStore,
  key: string,
  { decode, encode }: StoredForm<T>,
  change: (document: T | undefined) => T,
  options: ChangeStateOptions,
): Promise<T> {
  let after: { readonly document: T } | undefined;
  await changeState(
    state,
    key,
    (value) => {
      const before = value === undefined ? undefined : decode(value);
      const document = change(before);
      after = { document };
      return document === before ? value : encode(document);
    },
    options,
  );
  if (after === undefined) throw new EdgewiseError('internal', `${options.what} was not changed`);
  return after.document;
}

/**
 * Changes the value under `key`.
 *
 * @returns The entry after this write, which includes changes grouped with this one; undefined if there is no value.
 * @throws EdgewiseError `overloaded` if the change is not made within 25 s; the error of `change`, and then only this change
 * is not made; the store's error for a read, or for a write that failed repeatedly.
 */
export async function changeState(
  state: StateStore,
  key: string,
  change: NextValue,
  { what, isGrouped = false, firstRead, clock = systemClock }: ChangeStateOptions,
): Promise<StateEntry | undefined> {
  const queues = queuesOfStore.get(state) ?? new Map<string, Queue>();
  queuesOfStore.set(state, queues);
  const queue = queues.get(key) ?? { turns: new Mutex(), grouped: new Set() };
  queues.set(key, queue);
  const own: QueuedChange = { change, outcome: undefined };
  if (isGrouped) queue.grouped.add(own);
  const untilMs = clock.now() + patienceMs;
  const known = queue.turns.size === 0 ? firstRead : undefined;
  try {
    await queue.turns.run(
      async () => {
        if (own.outcome !== undefined) return;
        const group = isGrouped ? [...queue.grouped].filter(({ outcome }) => outcome === undefined) : [own];
        await writeGroup(state, key, group, { what, firstRead: known, clock, untilMs });
      },
      () => ({ clock, ms: patienceMs, refusal: () => tooManyChanges(what) }),
    );
  } finally {
    queue.grouped.delete(own);
    if (queue.turns.size === 0 && queues.get(key) === queue) queues.delete(key);
  }
  const { outcome } = own;
  if (outcome === undefined) throw new EdgewiseError('internal', `the change of ${what} has no outcome`);
  if ('error' in outcome) throw outcome.error;
  return outcome.entry;
}

interface Attempts extends Pick<ChangeStateOptions, 'what' | 'firstRead'> {
  readonly clock: Clock;
  readonly untilMs: number;
}

/**
 * Makes all changes of the group in one write, and sets the outcome of each. Throws, with no outcome set, if it cannot
 * write.
 */
async function writeGroup(
  state: StateStore,
  key: string,
  group: readonly QueuedChange[],
  { what, firstRead, clock, untilMs }: Attempts,
): Promise<void> {
  let failedWrites = 0;
  for (let round = 0; ; round += 1) {
    const before = round === 0 && firstRead !== undefined ? firstRead.entry : await state.get(key);
    const { value, errors } = await applyChanges(group, before?.value);
    const settle = (entry: StateEntry | undefined) => {
      for (const each of group) each.outcome = errors.get(each) ?? { entry };
    };
    if (value === before?.value) return settle(before);
    try {
      const written = await write(state, key, before, value);
      if (written !== 'lost') return settle(written);
    } catch (error) {
      if (isEdgewiseError(error)) throw error;
      failedWrites += 1;
      const standing = await state.get(key);
      // The store made the write, but its response was lost.
      if (standing !== undefined && standing.value === value) return settle(standing);
      if (standing?.etag !== before?.etag || failedWrites > maxFailedWrites) throw error;
    }
    if (clock.now() >= untilMs) throw tooManyChanges(what);
    await pause(clock, Math.random() * Math.min(maxPauseMs, firstPauseMs * 2 ** round));
  }
}

/** Applies the changes in order. A change that throws is skipped, and its error is returned. */
async function applyChanges(group: readonly QueuedChange[], current: string | undefined) {
  let value = current;
  const errors = new Map<QueuedChange, { readonly error: unknown }>();
  for (const each of group) {
    try {
      value = await each.change(value);
    } catch (error) {
      errors.set(each, { error });
    }
  }
  return { value, errors };
}

/**
 * Writes or deletes. Returns the new entry; undefined after a deletion; `lost` if the key has changed since `before`
 * was read.
 */
async function write(
  state: StateStore,
  key: string,
  before: StateEntry | undefined,
  value: string | undefined,
): Promise<StateEntry | undefined | 'lost'> {
  if (value === undefined) {
    const isDeleted = before === undefined || (await state.delete(key, { ifMatch: before.etag }));
    return isDeleted ? undefined : 'lost';
  }
  const condition = before === undefined ? ({ ifAbsent: true } as const) : { ifMatch: before.etag };
  const etag = await state.put(key, value, condition);
  return etag === undefined ? 'lost' : { value, etag };
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

function tooManyChanges(what: string): EdgewiseError {
  return new EdgewiseError(
    'overloaded',
    `${what} is being changed by too many requests at once; try again in a second`,
    {
      retryAfterSeconds: 1,
    },
  );
}
