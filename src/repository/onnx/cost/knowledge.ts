/**
 * What can be said of a value of a graph before it runs. Two masks, in which more bits mean more knowledge, so that `&`
 * joins what two paths know:
 *
 * - of its elements: `fixed` (the input shapes decide them), else whether they are bounded from above and from below by
 *   something that the input shapes decide;
 * - of its shape: `fixed` (the input shapes decide it), `limited` (values decide it, within what the input shapes allow), or
 *   neither.
 */
export const above = 0b001;
export const below = 0b010;
export const limited = above | below;
export const fixed = 0b111;

export const shapeLimited = 0b01;
export const shapeFixed = 0b11;

export interface Knowledge {
  /** Of the elements: `above`, `below`, `limited` or `fixed`; 0 for nothing. */
  readonly values: number;
  /** `shapeLimited` or `shapeFixed`; 0 for nothing. */
  readonly shape: number;
  /** Whole numbers or truth values. Floats may be NaN, which no bound from below survives. */
  readonly whole: boolean;
  /** Inputs of the model on whose values this depends, one bit each. */
  readonly sources: bigint;
  /** The one element of a constant. */
  readonly scalar?: number | undefined;
}

export const unknown: Knowledge = { values: 0, shape: 0, whole: false, sources: 0n };

export function constant(whole: boolean, scalar?: number): Knowledge {
  return { values: fixed, shape: shapeFixed, whole, sources: 0n, scalar };
}

/** Elements are fixed only where their number is; a float that is bounded from below alone may be NaN. */
export function normalise(known: Knowledge): Knowledge {
  let { values } = known;
  if (values === fixed && known.shape !== shapeFixed) values = limited;
  if (!known.whole && values === below) values = 0;
  return values === known.values ? known : { ...known, values };
}

/** What holds whichever of the two a value is. */
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

/** The same, where it depends on the values of `sources` which of several it is. */
export function weakenByChoice(known: Knowledge, sources: bigint): Knowledge {
  return {
    values: known.values & limited,
    shape: known.shape & shapeLimited,
    whole: known.whole,
    sources: known.sources | sources,
  };
}

/** Whether all bits of `need` are known. */
export function hasBits(mask: number, need: number): boolean {
  return (mask & need) === need;
}
