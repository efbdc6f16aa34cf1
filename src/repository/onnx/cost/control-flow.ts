/** Interprets operators that run graphs: how often they run them, and with which values. */
import type { GraphProto } from '../proto-types.ts';
import { subgraphsOf } from '../walk.ts';
import { Environment } from './environment.ts';
import {
  above,
  below,
  constant,
  fixed,
  hasBits,
  joinKnowledge,
  type Knowledge,
  limited,
  shapeFixed,
  shapeLimited,
  unknown,
  weakenByChoice,
} from './knowledge.ts';
import type { Step } from './step.ts';

/**
 * A larger trip count is no bound for a loop that its condition can end: no request is answered within that many iterations,
 * and exporters write the largest number there is for "until the condition".
 */
const maxIterations = 65_536;

function runBody(
  { interpreter, environment, place }: Step,
  body: GraphProto,
  inputs: readonly Knowledge[],
): Knowledge[] {
  const inner = new Environment(environment);
  for (const [index, { name = '' }] of (body.input ?? []).entries())
    inner.define(name, inputs[index] ?? unknown);
  return interpreter.runGraph(body, inner, place.at(body));
}

/** Interprets both branches: a run costs at most what both cost together. */
export function runIf(step: Step): Knowledge[] {
  const { inputs, node, environment } = step;
  const condition = inputs[0] ?? unknown;
  const [then = [], other = []] = ['then_branch', 'else_branch'].map((name) => {
    const body = environment.attribute(node, name)?.g;
    return body === undefined ? [] : runBody(step, body, []);
  });
  return then.map((known, index) => {
    const either = joinKnowledge(known, other[index] ?? unknown);
    return hasBits(condition.values, fixed) ? either : weakenByChoice(either, condition.sources);
  });
}

export function runLoop(step: Step): Knowledge[] {
  const { inputs, interpreter, node, place, environment } = step;
  const body = environment.attribute(node, 'body')?.g ?? {};
  const [trips, condition, ...initial] = inputs;
  const carriedCount = initial.length;
  const before = initial.map((known, index) => interpreter.carry(place, index, known ?? unknown));
  const conditionNow = interpreter.carry(place, carriedCount, condition ?? constant(true, 1));
  const isFixed =
    (trips === undefined || hasBits(trips.values, fixed)) && hasBits(conditionNow.values, fixed);
  const deciding = (trips?.sources ?? 0n) | conditionNow.sources;
  const iteration: Knowledge = {
    values: isFixed ? fixed : trips !== undefined && hasBits(trips.values, above) ? limited : below,
    shape: shapeFixed,
    whole: true,
    sources: isFixed ? 0n : deciding,
  };
  const [conditionNext = unknown, ...results] = runBody(step, body, [iteration, conditionNow, ...before]);
  const conditionThen = interpreter.carry(place, carriedCount, conditionNext);
  checkIterations(step, trips, conditionThen);
  return results.map((result, index) => {
    const known = index < carriedCount ? interpreter.carry(place, index, result) : result;
    return isFixed ? known : weakenByChoice(known, deciding);
  });
}

/** The trip count bounds a loop; without one, the shapes have to decide when the condition ends it. */
function checkIterations(
  { interpreter, node }: Step,
  trips: Knowledge | undefined,
  condition: Knowledge,
): void {
  const decides = 'the number of iterations';
  const isEndless = trips === undefined || (trips.scalar ?? 0) > maxIterations;
  if (trips !== undefined) interpreter.size(node, trips, { need: above, decides });
  if (hasBits(condition.values, fixed)) return;
  if (isEndless) interpreter.find(node, decides, condition.sources);
  else interpreter.drive(condition.sources);
}

/** Interprets the body, which runs once for each slice of the scanned inputs. */
export function runScan(step: Step): Knowledge[] {
  const { inputs, interpreter, node, place, environment } = step;
  const body = environment.attribute(node, 'body')?.g ?? {};
  const scanned = Number(environment.attribute(node, 'num_scan_inputs')?.i ?? 0n);
  // In opset 8 the lengths of sequences come first.
  const given = inputs.slice(Math.max(0, inputs.length - (body.input?.length ?? 0)));
  const stateCount = Math.max(0, given.length - scanned);
  const states = given
    .slice(0, stateCount)
    .map((known, index) => interpreter.carry(place, index, known ?? unknown));
  const slices = given.slice(stateCount).map((known) => known ?? unknown);
  const shape = slices.reduce((mask, known) => mask & known.shape, shapeFixed);
  const deciding = slices.reduce((sources, known) => sources | known.sources, 0n);
  if (shape === 0) interpreter.find(node, 'the number of iterations', deciding);
  return runBody(step, body, [...states, ...slices]).map((result, index) => {
    const known = index < stateCount ? interpreter.carry(place, index, result) : result;
    return shape === shapeFixed ? known : weakenByChoice(known, deciding);
  });
}

/** Interprets the graphs of any other operator, such as one that generates text, whose inputs are unknown. */
export function runBodies(step: Step): void {
  const { node, inputs, environment } = step;
  const sources = inputs.reduce((all, known) => all | (known?.sources ?? 0n), 0n);
  for (const attribute of node.attribute ?? []) {
    for (const body of subgraphsOf(environment.resolve(attribute) ?? {})) {
      const anything: Knowledge = { ...unknown, shape: shapeLimited, sources };
      runBody(step, body, new Array<Knowledge>(body.input?.length ?? 0).fill(anything));
    }
  }
}
