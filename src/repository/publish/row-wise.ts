/**
 * Finds out whether each row of an answer depends on that row of the request alone, by running the model: rows by
 * themselves, then together in several orders. A dimension that happens to equal the number of rows proves nothing.
 */
import type { Feeds, Fetches } from '../../engine/types.ts';
import { toEdgewiseError } from '../../errors.ts';
import { describeRowMismatch, joinRows, splitRows } from '../../tensor/rows.ts';
import { engineText } from './reference.ts';

export type RowVerdict =
  | { readonly rowWise: true }
  /** `seen` is what contradicts it, naming the output. */
  | { readonly rowWise: false; readonly seen: string }
  /** Neither shown nor contradicted; `why` is the reason. */
  | { readonly rowWise: undefined; readonly why: string };

export interface RowTrial {
  run(feeds: Feeds): Promise<Fetches>;
  /** Returns the first difference between two answers; undefined if they agree. */
  difference(expected: Fetches, actual: Fetches): string | undefined;
  /** Most rows of a run. */
  readonly maxRows: number;
}

/** A row that the model accepts, and the answer to that row alone. */
interface Row {
  readonly feeds: Feeds;
  readonly fetches: Fetches;
}

/**
 * Returns the verdict of the first run that contradicts row-wise answers. If none does, the verdict is `undefined` if no sample
 * was answered, the engine failed, or all samples have the same answer in an output, so that its rows cannot be told apart.
 *
 * @param samples One row each. Samples that the model does not answer are left out.
 */
export async function judgeRows(samples: readonly Feeds[], trial: RowTrial): Promise<RowVerdict> {
  const rows: Row[] = [];
  let refusal: string | undefined;
  for (const feeds of samples) {
    const answer = await attempt(feeds, trial);
    if ('refusal' in answer) {
      refusal ??= answer.refusal;
      continue;
    }
    const seen = describeRowMismatch(answer.fetches, 1);
    if (seen !== undefined) return { rowWise: false, seen };
    rows.push({ feeds, fetches: answer.fetches });
  }
  const [first] = rows;
  if (first === undefined) return { rowWise: undefined, why: refusal ?? 'no sample was tried' };
  const pairOfOutput = [...first.fetches.keys()].map((output) => ({
    output,
    pair: findDifferingPair(rows, output, trial),
  }));
  const pairs = pairOfOutput.map(({ pair }) => pair ?? ([first, first] as const));
  for (const batch of makeBatches(rows, pairs, trial.maxRows)) {
    const verdict = await judgeBatch(batch, trial);
    if (verdict !== undefined) return verdict;
  }
  const constant = pairOfOutput.find(({ pair }) => pair === undefined);
  if (constant !== undefined) {
    const why = `output ${JSON.stringify(constant.output)} is the same for all ${rows.length} samples, so its rows cannot be told apart`;
    return { rowWise: undefined, why };
  }
  return { rowWise: true };
}

type Pair = readonly [Row, Row];

/** Returns two rows whose answers differ in `output`, so that an exchange of the two would be noticed. */
function findDifferingPair(rows: readonly Row[], output: string, { difference }: RowTrial): Pair | undefined {
  const only = ({ fetches }: Row): Fetches => new Map([...fetches].filter(([name]) => name === output));
  for (const [index, row] of rows.entries()) {
    for (const other of new Set([rows[0], rows[index - 1]])) {
      if (other !== undefined && difference(only(other), only(row)) !== undefined) return [other, row];
    }
  }
  return undefined;
}

/** Returns batches of two and three distinguishable rows in every order, then of every row among others, then the largest. */
function makeBatches(
  rows: readonly Row[],
  pairs: readonly Pair[],
  maxRows: number,
): readonly (readonly Row[])[] {
  const distinct = [
    ...new Map(pairs.map((pair) => [pair.map((row) => rows.indexOf(row)).join(), pair])).values(),
  ];
  const around = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => rows[(from + index) % rows.length]).filter(
      (row) => row !== undefined,
    );
  const batches = [
    ...distinct.flatMap(([a, b]) => [
      [a, b],
      [b, a],
      [a, b, b],
      [b, a, a],
    ]),
    ...rows.flatMap((_, index) => (index % 3 === 0 ? [around(index, 3)] : [])),
    around(0, Math.min(maxRows, 8)),
    ...(maxRows > 8 ? [around(1, maxRows)] : []),
  ];
  return batches.filter((batch) => batch.length > 1 && batch.length <= maxRows);
}

/** Returns undefined if each row of the answer agrees with the answer to that row alone. */
async function judgeBatch(batch: readonly Row[], trial: RowTrial): Promise<RowVerdict | undefined> {
  const answer = await attempt(joinRows(batch.map(({ feeds }) => feeds)), trial);
  if ('refusal' in answer) {
    return answer.isByModel
      ? {
          rowWise: false,
          seen: `${batch.length} rows that it accepts one by one are refused together: ${answer.refusal}`,
        }
      : { rowWise: undefined, why: answer.refusal };
  }
  const seen = describeRowMismatch(answer.fetches, batch.length);
  if (seen !== undefined) return { rowWise: false, seen };
  const parts = splitRows(
    answer.fetches,
    batch.map(() => 1),
  );
  for (const [index, { fetches }] of batch.entries()) {
    const difference = trial.difference(fetches, parts[index] ?? new Map());
    if (difference !== undefined) {
      return {
        rowWise: false,
        seen: `${difference}, in row ${index + 1} of ${batch.length} compared with the answer to that row alone`,
      };
    }
  }
  return undefined;
}

/** `isByModel`: whether the model refused the request, and not the machine. */
type Attempt = { readonly fetches: Fetches } | { readonly refusal: string; readonly isByModel: boolean };

async function attempt(feeds: Feeds, { run }: RowTrial): Promise<Attempt> {
  try {
    return { fetches: await run(feeds) };
  } catch (thrown) {
    const error = toEdgewiseError(thrown);
    const isByModel = error.code === 'invalid_request' || error.code === 'shape_mismatch';
    return { refusal: engineText(error), isByModel };
  }
}
