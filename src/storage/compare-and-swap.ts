/**
 * Changes of one state key by compare-and-swap, made so that many at once all succeed. Changes of one isolate stand in
 * line, and the one whose turn it is makes those that wait along with its own in one write; against other isolates it
 * tries again after a random pause that grows. Durable stores take about one write a second to one key (R2), so a write
 * that was refused for that reason is tried again, too.
 */
import { type Clock, systemClock } from '../async/clock.ts';
import { Mutex } from '../async/mutex.ts';
import { EdgewiseError, isEdgewiseError } from '../errors.ts';
import type { StateEntry, StateStore } from './types.ts';

/**
 * Makes the next value of the present one; undefined: nothing is stored. The same value: nothing is to be written. May be
 * called several times, so it has no effect of its own but on what its caller reads when all is done.
 */
export type NextValue = (value: string | undefined) => string | undefined | Promise<string | undefined>;

export interface ChangeStateOptions {
  /** For messages: `tenant acme`. */
  readonly what: string;
  /** Lets another request of this isolate make the change along with its own: for changes that only compute. */
  readonly isGrouped?: boolean;
  readonly clock?: Clock | undefined;
}

/** How long one change is tried. */
const patienceMs = 25_000;
const firstPauseMs = 10;
const maxPauseMs = 1000;
/** Of writes that failed, not of those that lost a race. */
const maxFailedWrites = 5;

interface Waiting {
  readonly change: NextValue;
  outcome: { readonly error?: unknown } | undefined;
}

interface Line {
  readonly turns: Mutex;
  readonly waiting: Set<Waiting>;
}

const linesOfStore = new WeakMap<StateStore, Map<string, Line>>();

/**
 * @throws EdgewiseError `overloaded` when other isolates change the same key all the time; what `change` throws, and then
 * this change is not made; what the store throws.
 */
export async function changeState(
  state: StateStore,
  key: string,
  change: NextValue,
  { what, isGrouped = false, clock = systemClock }: ChangeStateOptions,
): Promise<void> {
  const lines = linesOfStore.get(state) ?? new Map<string, Line>();
  linesOfStore.set(state, lines);
  const line = lines.get(key) ?? { turns: new Mutex(), waiting: new Set() };
  lines.set(key, line);
  const own: Waiting = { change, outcome: undefined };
  if (isGrouped) line.waiting.add(own);
  const untilMs = clock.now() + patienceMs;
  try {
    await line.turns.run(
      async () => {
        if (own.outcome !== undefined) return;
        const group = isGrouped ? [...line.waiting].filter(({ outcome }) => outcome === undefined) : [own];
        await swap(state, key, group, { what, clock, untilMs });
      },
      () => ({ clock, ms: patienceMs, refusal: () => crowded(what) }),
    );
  } finally {
    line.waiting.delete(own);
    if (line.turns.size === 0 && lines.get(key) === line) lines.delete(key);
  }
  // Whoever made it, what came of it is this caller's.
  const { outcome } = own;
  if (outcome !== undefined && 'error' in outcome) throw outcome.error;
}

interface Attempts {
  readonly what: string;
  readonly clock: Clock;
  readonly untilMs: number;
}

/** Makes the changes of the group one after another in one write, and tells each what came of it. */
async function swap(
  state: StateStore,
  key: string,
  group: readonly Waiting[],
  { what, clock, untilMs }: Attempts,
): Promise<void> {
  let failedWrites = 0;
  for (let round = 0; ; round += 1) {
    const entry = await state.get(key);
    const { value, outcomes } = await applied(group, entry?.value);
    const settle = () => {
      for (const [at, each] of group.entries()) each.outcome = outcomes[at];
    };
    if (value === entry?.value) return settle();
    try {
      if (await isWritten(state, key, entry, value)) return settle();
    } catch (error) {
      failedWrites += 1;
      const standing = isEdgewiseError(error) ? undefined : await state.get(key);
      if (standing !== undefined && standing.value === value) return settle();
      const isUntouched = !isEdgewiseError(error) && standing?.etag === entry?.etag;
      if (!isUntouched || failedWrites > maxFailedWrites) throw error;
    }
    if (clock.now() >= untilMs) throw crowded(what);
    await pause(clock, Math.random() * Math.min(maxPauseMs, firstPauseMs * 2 ** round));
  }
}

async function applied(group: readonly Waiting[], present: string | undefined) {
  let value = present;
  const outcomes: { readonly error?: unknown }[] = [];
  for (const { change } of group) {
    try {
      value = await change(value);
      outcomes.push({});
    } catch (error) {
      outcomes.push({ error });
    }
  }
  return { value, outcomes };
}

async function isWritten(
  state: StateStore,
  key: string,
  entry: StateEntry | undefined,
  value: string | undefined,
): Promise<boolean> {
  if (value === undefined) return entry === undefined || state.delete(key, { ifMatch: entry.etag });
  const condition = entry === undefined ? ({ ifAbsent: true } as const) : { ifMatch: entry.etag };
  return (await state.put(key, value, condition)) !== undefined;
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

function crowded(what: string): EdgewiseError {
  return new EdgewiseError('overloaded', `${what} is being changed by too many at once, try again`, {
    retryAfterSeconds: 1,
  });
}
