/** Analyses random programs over two numbers, and runs them with large and small numbers. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { analyseCost } from '../../../../src/repository/onnx/cost/analyse.ts';
import type { NodeProto } from '../../../../src/repository/onnx/proto.ts';
import { graph, loop, loopBody, op, scalar } from './graphs.ts';

const binary = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Min: Math.min,
  Max: Math.max,
  Div: (a, b) => (b === 0 ? 0 : Math.trunc(a / b)),
  Mod: (a, b) => (b === 0 ? 0 : ((a % b) + b) % b),
} satisfies Record<string, (a: number, b: number) => number>;
type Binary = keyof typeof binary;

/** Operands are positions in a list: the two inputs, the number of rows (from the shape of `x`), 0 to 3, earlier results. */
interface Instruction {
  readonly kind: 'binary' | 'neg' | 'loop' | 'range' | 'filled';
  readonly operator: Binary;
  readonly a: number;
  readonly b: number;
}
const rows = 3;

const instruction: fc.Arbitrary<Instruction> = fc.record({
  kind: fc.constantFrom('binary', 'binary', 'binary', 'binary', 'neg', 'loop', 'range', 'filled'),
  operator: fc.constantFrom('Add', 'Sub', 'Min', 'Min', 'Max', 'Max', 'Div', 'Mod', 'Mul'),
  a: fc.nat(100),
  b: fc.nat(100),
});
function multiplies({ kind, operator }: Instruction): boolean {
  return kind === 'loop' || (kind === 'binary' && operator === 'Mul');
}

/** Few products, and no powers, so that what is bounded stays small. */
const program = fc
  .array(instruction, { minLength: 2, maxLength: 9 })
  .filter((each) => each.filter(multiplies).length <= 2)
  .filter((each) => each.every(({ kind, operator }) => kind !== 'loop' || operator !== 'Mul'));

/** Returns the largest size or trip count in a run of the program; the run ends once it exceeds `enough`. */
const enough = 1e9;
function mostOf(instructions: readonly Instruction[], n: number, m: number): number {
  const values = [n, m, rows, 0, 1, 2, 3];
  let most = 0;
  for (const { kind, operator, a, b } of instructions) {
    const [left = 0, right = 0] = [values[a % values.length], values[b % values.length]];
    let result = 0;
    let made = 0;
    if (kind === 'binary') result = binary[operator](left, right);
    else if (kind === 'neg') result = -left;
    else if (kind === 'range') result = made = Math.max(0, right - left);
    else if (kind === 'filled') result = made = Math.max(0, left);
    else {
      made = Math.max(0, left);
      result = repeatOperator(operator, made, right);
    }
    most = Math.max(most, made);
    if (most > enough) return most;
    values.push(result);
  }
  return most;
}

/** Applies the operator `times` times with `right`, beginning with 1: in closed form, or until the result only alternates. */
function repeatOperator(operator: Binary, times: number, right: number): number {
  if (operator === 'Add' || operator === 'Sub') return binary[operator](1, times * right);
  let result = 1;
  for (let count = 0; count < Math.min(times, 64 + (times % 2)); count += 1) {
    result = binary[operator](result, right);
  }
  return result;
}

function nodesOf(instructions: readonly Instruction[]): NodeProto[] {
  const names = ['n', 'm', 'rows', '0', '1', 'two', 'three'];
  const nodes = [op('Shape', ['x'], ['sizes']), op('Gather', ['sizes', '0'], ['rows'])];
  for (const [index, { kind, operator, a, b }] of instructions.entries()) {
    const [left = '', right = ''] = [names[a % names.length], names[b % names.length]];
    const name = `v${index}`;
    if (kind === 'binary') nodes.push(op(operator, [left, right], [name]));
    else if (kind === 'neg') nodes.push(op('Neg', [left], [name]));
    else if (kind === 'range') {
      nodes.push(op('Range', [left, right, '1'], [`${name} range`]), op('Size', [`${name} range`], [name]));
    } else if (kind === 'filled') {
      nodes.push(
        op('Max', [left, '0'], [`${name} size`]),
        op('Reshape', [`${name} size`, '[1]'], [`${name} shape`]),
        op('ConstantOfShape', [`${name} shape`], [`${name} filled`]),
        op('Size', [`${name} filled`], [name]),
      );
    } else {
      const body = loopBody([op(operator, ['state', right], ['more'])], { state: 'more' });
      nodes.push({ ...loop(left, body, 'true', '1'), output: [name] });
    }
    names.push(name);
  }
  return nodes;
}

const extremes = [0, 1, -1, 7, -1e15, 1e15, 1e15 + 1, -1e15 - 1];

function analyse(instructions: readonly Instruction[], bounded: readonly string[] = []) {
  const model = graph(nodesOf(instructions));
  const initializer = [...(model.graph?.initializer ?? []), scalar('two', 2), scalar('three', 3)];
  return analyseCost({ ...model, graph: { ...model.graph, initializer } }, new Set(bounded));
}

const pairs = (ofN: readonly number[], ofM: readonly number[]) =>
  ofN.flatMap((n) => ofM.map((m) => [n, m] as const));

describe('analyseCost() of random programs', () => {
  it('calls no program bounded that any number makes expensive', () => {
    fc.assert(
      fc.property(program, (instructions) => {
        fc.pre(analyse(instructions).unbounded.length === 0);
        for (const [n, m] of pairs(extremes, extremes)) {
          expect(mostOf(instructions, n, m)).toBeLessThan(enough);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('calls no program bounded that a number within the bounds makes expensive', () => {
    const within = [-5, 0, 1, 5];
    fc.assert(
      fc.property(program, (instructions) => {
        fc.pre(analyse(instructions, ['n']).unbounded.length === 0);
        for (const [n, m] of pairs(within, extremes)) {
          expect(mostOf(instructions, n, m)).toBeLessThan(enough);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('names a driver, or an unbounded cost, in every program whose cost depends on a number', () => {
    fc.assert(
      fc.property(program, (instructions) => {
        const { drivers, unbounded } = analyse(instructions);
        fc.pre(unbounded.length === 0 && drivers.length === 0);
        const costs = pairs(extremes, extremes).map(([n, m]) => mostOf(instructions, n, m));
        expect(new Set(costs).size).toBe(1);
      }),
      { numRuns: 150 },
    );
  });

  it('names inputs for every unbounded cost, and most of the costs it calls unbounded are', () => {
    const numRuns = 300;
    let needless = 0;
    fc.assert(
      fc.property(program, (instructions) => {
        const { unbounded } = analyse(instructions);
        fc.pre(unbounded.length > 0);
        for (const { inputs } of unbounded) expect(inputs.length).toBeGreaterThan(0);
        const most = Math.max(...pairs(extremes, extremes).map(([n, m]) => mostOf(instructions, n, m)));
        if (most <= enough) needless += 1;
      }),
      { numRuns, seed: 1 },
    );
    expect(needless / numRuns).toBeLessThan(0.3);
  });
});
