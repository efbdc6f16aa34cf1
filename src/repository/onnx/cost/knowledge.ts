/**
 * What is known about a value of a graph before it runs. It has two masks. More bits mean more knowledge, so `&` joins the
 * knowledge of two paths:
 *
 * - about its elements: `fixed` (the input shapes decide them), else whether they are bounded from above and from below by
 *   something that the input shapes decide;
 * - about its shape: `shapeFixed` (the input shapes decide it), `shapeLimited` (values decide it, within what the input
 *   shapes allow), or neither.
 */
export const above = 0b001;
export const below = 0b010;
export const limited = above | below;
export const fixed = 0b111;

export const shapeLimited = 0b01;
export const shapeFixed = 0b11;

export interface Knowledge {
  /** About the elements: `above`, `below`, `limited` or `fixed`; 0 if nothing is known. */
  readonly values: number;
  /** `shapeLimited` or `shapeFixed`; 0 if nothing is known. */
  readonly shape: number;
  /** True for whole numbers and truth values. Floats may be NaN, which breaks every bound from below. */
  readonly whole: boolean;
  /** The inputs of the model that the value depends on, one bit each. */
  readonly sources: bigint;
  /** The element of a constant that has exactly one. */
  readonly scalar?: number | undefined;
}

export const unknown: Knowledge = { values: 0, shape: 0, whole: false, sources: 0n };

export function constant(whole: boolean, scalar?: number): Knowledge {
  return { values: fixed, shape: shapeFixed, whole, sources: 0n, scalar };
}

/** Removes claims that cannot hold: elements are fixed only if their number is, and a float bounded from below alone may be NaN. */
export function normalise(known: Knowledge): Knowledge {
  let { values } = known;
  if (values === fixed && known.shape !== shapeFixed) values = limited;
  if (!known.whole && values === below) values = 0;
  return values === known.values ? known : { ...known, values };
}

/** Returns what holds for a value that is one or the other. */
export function joinKnowledge(one: Knowledge, other: Knowledge): Knowledge {
  return normalise({
    values: one.values & other.values,
    shape: one.shape & other.shape,
    whole: one.whole && other.whole,
    sources: one.sources | other.sources,
    scalar: one.scalar === other.scalar ? one.scalar : undefined,
  });
}

export function isSameKnowledge(one: Knowledge, other: Knowledge): boolean {
  return (
    one.values === other.values &&
    one.shape === other.shape &&
    one.whole === other.whole &&
    one.sources === other.sources &&
    one.scalar === other.scalar
  );
}

/** Returns what is known about a value if the values of `sources` choose it among several. */
export function weakenByChoice(known: Knowledge, sources: bigint): Knowledge {
  return {
    values: known.values & limited,
    shape: known.shape & shapeLimited,
    whole: known.whole,
    sources: known.sources | sources,
  };
}

/** Reports whether `mask` has all bits of `need`. */
export function hasBits(mask: number, need: number): boolean {
  return (mask & need) === need;
}
