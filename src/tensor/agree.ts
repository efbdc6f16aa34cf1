/** Compares two answers by a rule per output, for models whose values may differ between engines. */
import { findDifference, findShapeDifference, rootMeanSquare, topOf, valuesOf } from './compare.ts';
import type { NamedTensors, Tensor } from './tensor.ts';

/** Conditions for one output; absent ones are not checked. Rows are along the last axis. */
export interface AgreementRule {
  /** Tolerance of a value: `absolute` plus `relative` times the larger of the value and the output's root mean square. */
  readonly values?: { readonly relative: number; readonly absolute: number } | undefined;
  /** Smallest cosine between a row and the expected row. */
  readonly cosine?: number | undefined;
  /** Smallest share of rows whose largest value is at the expected position. */
  readonly sameTop?: number | undefined;
  /** Largest mean Kullback-Leibler divergence, in nats, of rows taken as logits. */
  readonly divergence?: number | undefined;
}

/** Output name → rule; `*` is the rule of all outputs without one. */
export type AgreementRules = Readonly<Record<string, AgreementRule>>;

export interface AgreementFound {
  /** Describes the first difference; undefined if the answers agree. */
  readonly difference: string | undefined;
  /** The value of each condition that was checked, such as `"logits" cosine 0.9991`. */
  readonly figures: readonly string[];
}

/** Compares the outputs by their rules; outputs without a rule must agree as in `findDifference`. */
export function findAgreement(
  expected: NamedTensors,
  actual: NamedTensors,
  rules: AgreementRules = {},
): AgreementFound {
  const byName = new Map(Object.entries(rules));
  const figures: string[] = [];
  for (const [name, tensor] of expected) {
    const only = new Map([[name, tensor]]);
    const other = actual.get(name);
    const rule = byName.get(name) ?? byName.get('*');
    const difference = rule === undefined ? findDifference(only, actual) : findShapeDifference(only, actual);
    if (difference !== undefined) return { difference, figures };
    if (rule === undefined || other === undefined) continue;
    for (const { found, holds, text } of checkRule(rule, tensor, other)) {
      const figure = `${JSON.stringify(name)} ${text} ${found}`;
      figures.push(figure);
      if (!holds) return { difference: `output ${figure}`, figures };
    }
  }
  return { difference: undefined, figures };
}

interface Check {
  readonly text: string;
  readonly found: string;
  readonly holds: boolean;
}

function* checkRule(rule: AgreementRule, expected: Tensor, actual: Tensor): Generator<Check> {
  const a = Float64Array.from(valuesOf(expected), Number);
  const b = Float64Array.from(valuesOf(actual), Number);
  const columns = Math.max(1, expected.shape.at(-1) ?? 1);
  const rows = Array.from({ length: Math.floor(a.length / columns) }, (_, row): readonly [Row, Row] => [
    a.subarray(row * columns, (row + 1) * columns),
    b.subarray(row * columns, (row + 1) * columns),
  ]);
  const { values, cosine, sameTop, divergence } = rule;
  if (values !== undefined) {
    const share = largestShare(a, b, values);
    yield { text: 'values use', found: `${share.toFixed(3)} of their tolerance`, holds: share <= 1 };
  }
  if (cosine !== undefined) {
    const least = rows.reduce((least, [x, y]) => Math.min(least, cosineOf(x, y)), 1);
    yield { text: `cosine (expected ${cosine} or more)`, found: least.toFixed(5), holds: least >= cosine };
  }
  if (sameTop !== undefined) {
    const same = rows.filter(([x, y]) => topOf(x, 0, columns) === topOf(y, 0, columns)).length;
    const share = rows.length === 0 ? 1 : same / rows.length;
    yield {
      text: `same top (expected ${sameTop} or more of the rows)`,
      found: share.toFixed(4),
      holds: share >= sameTop,
    };
  }
  if (divergence !== undefined) {
    const sum = rows.reduce((sum, [x, y]) => sum + divergenceOf(x, y), 0);
    const mean = rows.length === 0 ? 0 : sum / rows.length;
    yield {
      text: `divergence (expected ${divergence} nat or less)`,
      found: mean.toFixed(5),
      holds: mean <= divergence,
    };
  }
}

type Row = Float64Array;

/** Returns the largest ratio of a value's difference to its tolerance; Infinity if a value is NaN and the other is not. */
function largestShare(a: Row, b: Row, { relative, absolute }: NonNullable<AgreementRule['values']>): number {
  const scale = rootMeanSquare(a);
  let largest = 0;
  for (const [index, x] of a.entries()) {
    const y = b[index] ?? Number.NaN;
    if (Object.is(x, y) || x === y) continue;
    const allowed = absolute + relative * Math.max(Math.abs(x), scale);
    const share = Math.abs(x - y) / allowed;
    largest = Number.isNaN(share) ? Number.POSITIVE_INFINITY : Math.max(largest, share);
  }
  return largest;
}

/** Returns 1 for two rows of zeros, and -1 if a value is NaN. */
function cosineOf(a: Row, b: Row): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (const [index, x] of a.entries()) {
    const y = b[index] ?? 0;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  if (aa === 0 && bb === 0) return 1;
  const cosine = dot / Math.sqrt(aa * bb);
  return Number.isNaN(cosine) ? -1 : cosine;
}

/** Returns Infinity if a row contains NaN. */
function divergenceOf(a: Row, b: Row): number {
  const [p, q] = [logProbabilities(a), logProbabilities(b)];
  let sum = 0;
  for (const [index, logP] of p.entries()) {
    const probability = Math.exp(logP);
    if (probability > 0) sum += probability * (logP - (q[index] ?? 0));
    if (Number.isNaN(logP)) return Number.POSITIVE_INFINITY;
  }
  return Number.isNaN(sum) ? Number.POSITIVE_INFINITY : sum;
}

function logProbabilities(logits: Row): Row {
  const greatest = logits.reduce((greatest, value) => Math.max(greatest, value), Number.NEGATIVE_INFINITY);
  const total = logits.reduce((sum, value) => sum + Math.exp(value - greatest), 0);
  return logits.map((value) => value - greatest - Math.log(total));
}
