/** Agreement of two answers by a rule for each output: for models whose values differ between engines and mean the same. */
import { findDifference, findShapeDifference, rootMeanSquare, valuesOf } from './compare.ts';
import type { NamedTensors, Tensor } from './tensor.ts';

/** What has to hold for one output. Rows lie along the last axis. What is left out is not asked. */
export interface AgreementRule {
  /** Each value may differ by `absolute`, and by `relative` of the larger of itself and the output's root mean square. */
  readonly values?: { readonly relative: number; readonly absolute: number } | undefined;
  /** The least cosine between a row and the expected one. */
  readonly cosine?: number | undefined;
  /** The least share of rows whose greatest value is in the expected place. */
  readonly sameTop?: number | undefined;
  /** The greatest mean Kullback-Leibler divergence, in nats, of rows taken as logits. */
  readonly divergence?: number | undefined;
}

/** By output; `*` stands for those that are not named. */
export type AgreementRules = Readonly<Record<string, AgreementRule>>;

export interface AgreementFound {
  /** What does not agree, in words. */
  readonly difference: string | undefined;
  /** What was found where a rule asked, such as `"logits" cosine 0.9991`. */
  readonly figures: readonly string[];
}

/** Outputs without a rule have to agree as `findDifference` says. */
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
    const unlike = rule === undefined ? findDifference(only, actual) : findShapeDifference(only, actual);
    if (unlike !== undefined) return { difference: unlike, figures };
    if (rule === undefined || other === undefined) continue;
    for (const { found, holds, text } of checksOf(rule, tensor, other)) {
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

function* checksOf(rule: AgreementRule, expected: Tensor, actual: Tensor): Generator<Check> {
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
    yield { text: 'values use', found: `${share.toFixed(3)} of what they may differ by`, holds: share <= 1 };
  }
  if (cosine !== undefined) {
    const least = rows.reduce((least, [x, y]) => Math.min(least, cosineOf(x, y)), 1);
    yield { text: `cosine (expected ${cosine} or more)`, found: least.toFixed(5), holds: least >= cosine };
  }
  if (sameTop !== undefined) {
    const same = rows.filter(([x, y]) => topOf(x) === topOf(y)).length;
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

/** The largest share of its tolerance that a value differs by; infinite where one is no number and the other is not it. */
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

/** 1 for two rows without a direction. Not a number counts as nothing in common. */
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

/** The place of the greatest value, the first among equals. */
function topOf(row: Row): number {
  return row.reduce((top, value, index) => (value > (row[top] ?? Number.NaN) ? index : top), 0);
}

/** Infinite where a row holds what is no number. */
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
