/**
 * Finds the worst cost of a model whose input values decide its cost: it is measured at the ends of their bounds, not at a
 * sample that happens to be cheap.
 */
import type { Clock } from '../../async/clock.ts';
import type { Engine, Feeds, ModelSource } from '../../engine/types.ts';
import type { ValueBounds } from '../../tensor/value-bounds.ts';
import { costMicroseconds } from '../edge-profile.ts';
import type { EdgeProfile } from '../schema.ts';

/** Input name → the value of all its elements. */
export type Values = Readonly<Record<string, number>>;

/** Up to this many inputs are tried at all combinations of their ends; more inputs are tried one by one. */
const fewDrivers = 3;

/**
 * Returns combinations of the ends of the bounds of `drivers`, all maxima first; none if no value decides the cost. A driver
 * without bounds, such as a truth value, keeps its sample.
 */
export function extremeValues(drivers: readonly string[], values: ValueBounds = {}): readonly Values[] {
  const bounded = drivers.filter((name) => Object.hasOwn(values, name));
  const end = (name: string, which: 'min' | 'max') => [name, values[name]?.[which] ?? 0] as const;
  const corner = (lowest: (index: number) => boolean): Values =>
    Object.fromEntries(bounded.map((name, index) => end(name, lowest(index) ? 'min' : 'max')));
  if (bounded.length === 0) return [];
  if (bounded.length <= fewDrivers) {
    return Array.from({ length: 2 ** bounded.length }, (_, bits) =>
      corner((index) => (bits >> index) % 2 === 1),
    );
  }
  return [
    corner(() => false),
    corner(() => true),
    ...bounded.map((_, lowest) => corner((index) => index === lowest)),
  ];
}

interface Scouting {
  readonly clock: Clock;
  /** Returns the feeds at batch 1. */
  feeds(values: Values): Feeds;
}

/** Runs each of `extremes` and returns the slowest. A single one is returned without a run; undefined if there are none. */
export async function findSlowestValues(
  engine: Engine,
  source: ModelSource,
  extremes: readonly Values[],
  { clock, feeds }: Scouting,
): Promise<Values | undefined> {
  if (extremes.length < 2) return extremes[0];
  const session = await engine.createSession(source);
  try {
    let slowest: { readonly values: Values; readonly ms: number } | undefined;
    for (const values of extremes) {
      const sample = feeds(values);
      // The first run of each size also grows the memory.
      await session.run(sample);
      const begin = clock.now();
      await session.run(sample);
      const ms = clock.now() - begin;
      if (slowest === undefined || ms > slowest.ms) slowest = { values, ms };
    }
    return slowest?.values;
  } finally {
    await session.release();
  }
}

export function describeValues(values: Values): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} = ${value}`)
    .join(', ');
}

/**
 * Returns the larger of each figure, which holds for all values that were tried. Runs that `other` does not have are left out,
 * and the remaining fields are those of `one`.
 */
export function worstProfile(one: EdgeProfile, other: EdgeProfile): EdgeProfile {
  return {
    ...one,
    sessionBytes: Math.max(one.sessionBytes, other.sessionBytes),
    peakBytes: Math.max(one.peakBytes, other.peakBytes),
    createMs: Math.max(one.createMs, other.createMs),
    // A batch that is too large for the worst values was not measured with them.
    runs: one.runs.slice(0, other.runs.length).map((run, index) => {
      const worst = other.runs[index];
      return worst !== undefined && costMicroseconds(worst) > costMicroseconds(run) ? worst : run;
    }),
  };
}
