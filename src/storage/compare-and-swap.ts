/**
 * Changes to one state key by compare-and-swap, so that concurrent changes all succeed. Changes within one isolate queue
 * per key, and the change at the head of the queue may write the queued ones together with its own in one write. Against
 * other isolates it retries after a random, growing pause. Durable stores accept about one write per second per key (R2),
 * so a write that fails for that reason is retried too.
 */
import { type Clock, systemClock } from '../async/clock.ts';
import { Mutex } from '../async/mutex.ts';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import type { StateEntry, StateStore } from './types.ts';

/**
 * Returns the next value for the present one: undefined to store nothing, the same value to write nothing. May be called
 * several times, so its only effect may be on variables that the caller reads once the change is made.
 */
export type NextValue = (value: string | undefined) => string | undefined | Promise<string | undefined>;

export interface ChangeStateOptions {
  /** Names what is changed, for messages: `tenant acme`. */
  readonly what: string;
  /** Lets another request of this isolate make the change together with its own: only for changes that just compute. */
  readonly isGrouped?: boolean;
  /** The entry that the caller has just read. Saves the first read, unless the change has to queue. */
  readonly firstRead?: { readonly entry: StateEntry | undefined } | undefined;
  /** For the pauses between attempts. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** How a document of type T is read from and written to a state key. */
export interface StoredForm<T> {
  readonly decode: (text: string) => T;
  readonly encode: (document: T) => string;
}

/** How long one change is attempted. */
const patienceMs = 25_000;
const firstPauseMs = 10;
const maxPauseMs = 1000;
/** Counts writes that failed, not writes that lost a race. */
const maxFailedWrites = 5;

type Outcome = { readonly error: unknown } | { readonly entry: StateEntry | undefined };

interface Waiting {
  readonly change: NextValue;
  outcome: Outcome | undefined;
}

interface Line {
  readonly turns: Mutex;
  readonly waiting: Set<Waiting>;
}

const linesOfStore = new WeakMap<StateStore, Map<string, Line>>();

/**
 * Changes the document under `key`. `change` gets the present document, undefined if there is none, and returns the next
 * one; the same object writes nothing. `change` may be called several times.
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
 * @returns The entry that stands afterwards, together with the changes that were grouped with this one.
 * @throws EdgewiseError `overloaded` if other isolates keep changing the same key; what `change` throws, and then this
 * change is not made; what the store throws.
 */
export async function changeState(
  state: StateStore,
  key: string,
  change: NextValue,
  { what, isGrouped = false, firstRead, clock = systemClock }: ChangeStateOptions,
): Promise<StateEntry | undefined> {
  const lines = linesOfStore.get(state) ?? new Map<string, Line>();
  linesOfStore.set(state, lines);
  const line = lines.get(key) ?? { turns: new Mutex(), waiting: new Set() };
  lines.set(key, line);
  const own: Waiting = { change, outcome: undefined };
  if (isGrouped) line.waiting.add(own);
  const untilMs = clock.now() + patienceMs;
  const known = line.turns.size === 0 ? firstRead : undefined;
  try {
    await line.turns.run(
      async () => {
        if (own.outcome !== undefined) return;
        const group = isGrouped ? [...line.waiting].filter(({ outcome }) => outcome === undefined) : [own];
        await swap(state, key, group, { what, firstRead: known, clock, untilMs });
      },
      () => ({ clock, ms: patienceMs, refusal: () => tooManyChanges(what) }),
    );
  } finally {
    line.waiting.delete(own);
    if (line.turns.size === 0 && lines.get(key) === line) lines.delete(key);
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

/** Makes the changes of the group one after another in one write, and sets the outcome of each. */
async function swap(
  state: StateStore,
  key: string,
  group: readonly Waiting[],
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
      // The write was made, and only its answer was lost.
      if (standing !== undefined && standing.value === value) return settle(standing);
      if (standing?.etag !== before?.etag || failedWrites > maxFailedWrites) throw error;
    }
    if (clock.now() >= untilMs) throw tooManyChanges(what);
    await pause(clock, Math.random() * Math.min(maxPauseMs, firstPauseMs * 2 ** round));
  }
}

async function applyChanges(group: readonly Waiting[], present: string | undefined) {
  let value = present;
  const errors = new Map<Waiting, { readonly error: unknown }>();
  for (const each of group) {
    try {
      value = await each.change(value);
    } catch (error) {
      errors.set(each, { error });
    }
  }
  return { value, errors };
}

/** Returns the new entry, undefined for a deleted one, or `lost` if the key has changed since `before` was read. */
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
  return new EdgewiseError('overloaded', `${what} is being changed by too many requests at once, try again`, {
    retryAfterSeconds: 1,
  });
}
