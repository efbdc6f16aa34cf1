/**
 * Finds out, without running a model, whether the shapes of its inputs bound its cost: abstract interpretation of the graph
 * over the domain of `knowledge.ts`. Subgraphs, captured values and functions are followed; loops are interpreted until
 * nothing more is learned about the values that they carry.
 */
import { type ModelProto, type NodeProto, tensorTypes } from '../proto-types.ts';
import { inputValues } from '../value-types.ts';
import { Environment, isWholeType } from './environment.ts';
import { Interpreter } from './interpreter.ts';
import { limited, shapeFixed } from './knowledge.ts';

/** A cost that input values decide without a bound. */
export interface UnboundedCost {
  readonly operator: string;
  /** The name of the node, or of its first output. */
  readonly node: string;
  /** What the values decide: "the number of iterations". */
  readonly decides: string;
  /** Inputs of the model whose values decide it; empty if it is random or unknown. */
  readonly inputs: readonly string[];
}

export interface CostBounds {
  /** Empty if the shapes of the inputs, and the bounds of their values, bound the cost of a run. */
  readonly unbounded: readonly UnboundedCost[];
  /** Inputs whose values decide the cost within bounds. */
  readonly drivers: readonly string[];
}

/** After this many rounds, values carried by loops count as unknown, which ends the search. */
const patientRounds = 24;

/** @param bounded Inputs whose values the config bounds. */
export function analyseCost(model: ModelProto, bounded: ReadonlySet<string> = new Set()): CostBounds {
  const { graph = {} } = model;
  const inputs = inputValues(graph);
  const interpreter = new Interpreter(model);
  let isDue = true;
  for (let round = 0; isDue; round += 1) {
    const environment = new Environment();
    for (const [index, { name = '', type }] of inputs.entries()) {
      const elemType = type?.tensorType?.elemType;
      environment.define(name, {
        values: bounded.has(name) || elemType === tensorTypes.BOOL ? limited : 0,
        shape: shapeFixed,
        whole: isWholeType(elemType),
        sources: 1n << BigInt(index),
      });
    }
    isDue = interpreter.runRound(graph, environment, round >= patientRounds);
  }
  const namesOf = (sources: bigint) =>
    inputs.map(({ name = '' }) => name).filter((_, index) => ((sources >> BigInt(index)) & 1n) === 1n);
  return {
    unbounded: interpreter.findings.map(({ node, decides, sources }) => ({
      operator: node.opType ?? '',
      node: nodeLabel(node),
      decides,
      inputs: namesOf(sources),
    })),
    drivers: namesOf(interpreter.drivers),
  };
}

function nodeLabel({ name = '', output = [] }: NodeProto): string {
  return (name === '' ? (output.find((each) => each !== '') ?? '') : name).slice(0, 100);
}
