/**
 * Whether each row of an answer is the answer to that row alone. Found out by running the model: rows by themselves, then
 * together in several orders. A dimension that happens to equal the number of rows proves nothing.
 */
import type { Feeds, Fetches } from '../../engine/types.ts';
import { toEdgewiseError } from '../../errors.ts';
import { describeRowMismatch, joinRows, splitRows } from '../../tensor/rows.ts';
import { engineText } from './reference.ts';

export type RowVerdict =
  | { readonly rowWise: true }
  /** `seen`: what contradicts it, naming the output. */
  | { readonly rowWise: false; readonly seen: string }
  /** Neither shown nor contradicted. */
  | { readonly rowWise: undefined; readonly why: string };

export interface RowTrial {
  run(feeds: Feeds): Promise<Fetches>;
  /** What differs first between what is expected and an answer; undefined where they agree. */
  difference(expected: Fetches, actual: Fetches): string | undefined;
  /** Rows that a run may have. */
  readonly maxRows: number;
}

/** A row that the model takes, and its answer to it alone. */
interface Row {
  readonly feeds: Feeds;
  readonly fetches: Fetches;
}

/** @param samples One row each. Those that the model does not take are left out. */
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
  const telling = [...first.fetches.keys()].map((output) => ({
    output,
    pair: tellingPair(rows, output, trial),
  }));
  const pairs = telling.map(({ pair }) => pair ?? ([first, first] as const));
  for (const batch of batchesOf(rows, pairs, trial.maxRows)) {
    const verdict = await judgeBatch(batch, trial);
    if (verdict !== undefined) return verdict;
  }
  const silent = telling.find(({ pair }) => pair === undefined);
  if (silent !== undefined) {
    const why = `output ${JSON.stringify(silent.output)} is the same for all ${rows.length} samples, so nothing shows whose row it is`;
    return { rowWise: undefined, why };
  }
  return { rowWise: true };
}

type Pair = readonly [Row, Row];

/** Two rows whose answers differ in `output`: exchanged ones would be noticed. */
function tellingPair(rows: readonly Row[], output: string, { difference }: RowTrial): Pair | undefined {
  const only = ({ fetches }: Row): Fetches => new Map([...fetches].filter(([name]) => name === output));
  for (const [index, row] of rows.entries()) {
    for (const other of new Set([rows[0], rows[index - 1]])) {
      if (other !== undefined && difference(only(other), only(row)) !== undefined) return [other, row];
    }
  }
  return undefined;
}

/** Two and three rows in each order that can be told apart, then every row among others, then as many as there may be. */
function batchesOf(
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

async function judgeBatch(batch: readonly Row[], trial: RowTrial): Promise<RowVerdict | undefined> {
  const answer = await attempt(joinRows(batch.map(({ feeds }) => feeds)), trial);
  if ('refusal' in answer) {
    return answer.isModels
      ? {
          rowWise: false,
          seen: `${batch.length} rows that it takes one by one are refused together: ${answer.refusal}`,
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
        seen: `${difference}, in row ${index + 1} of ${batch.length} beside what the row gives alone`,
      };
    }
  }
  return undefined;
}

type Attempt = { readonly fetches: Fetches } | { readonly refusal: string; readonly isModels: boolean };

async function attempt(feeds: Feeds, { run }: RowTrial): Promise<Attempt> {
  try {
    return { fetches: await run(feeds) };
  } catch (thrown) {
    const error = toEdgewiseError(thrown);
    const isModels = error.code === 'invalid_request' || error.code === 'shape_mismatch';
    return { refusal: engineText(error), isModels };
  }
}
