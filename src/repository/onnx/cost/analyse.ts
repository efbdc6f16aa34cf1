/**
 * Whether what a model costs is bounded by the shapes of its inputs, found without running it: abstract interpretation of
 * the graph over `knowledge.ts`. Subgraphs, what they capture, and functions are followed; loops are gone through until
 * nothing more is learned of what they carry.
 */
import { type ModelProto, type NodeProto, tensorTypes } from '../proto-types.ts';
import { inputValues } from '../value-types.ts';
import { Environment, isWholeType } from './environment.ts';
import { Interpreter } from './interpreter.ts';
import { limited, shapeFixed } from './knowledge.ts';

/** Something that input values decide, and nothing bounds. */
export interface UnboundedCost {
  readonly operator: string;
  /** The node's name, or its first output's. */
  readonly node: string;
  /** What is decided: "the number of iterations". */
  readonly decides: string;
  /** Inputs of the model whose values decide it; none where it is random or unknown. */
  readonly inputs: readonly string[];
}

export interface CostBounds {
  /** Empty: the shapes of the inputs, and the bounds of their values, bound what a run costs. */
  readonly unbounded: readonly UnboundedCost[];
  /** Inputs whose values decide, within bounds, how much there is to compute. */
  readonly drivers: readonly string[];
}

/** After so many rounds what a loop carries counts as unknown, which ends the search. */
const patientRounds = 24;

/** @param bounded Inputs whose values are kept within bounds. */
export function analyseCost(model: ModelProto, bounded: ReadonlySet<string> = new Set()): CostBounds {
  const { graph = {} } = model;
  const given = inputValues(graph);
  const interpreter = new Interpreter(model);
  let isDue = true;
  for (let round = 0; isDue; round += 1) {
    const environment = new Environment();
    for (const [index, { name = '', type }] of given.entries()) {
      const elemType = type?.tensorType?.elemType;
      environment.define(name, {
        values: bounded.has(name) || elemType === tensorTypes.BOOL ? limited : 0,
        shape: shapeFixed,
        whole: isWholeType(elemType),
        sources: 1n << BigInt(index),
      });
    }
    isDue = interpreter.round(graph, environment, round >= patientRounds);
  }
  const namesOf = (sources: bigint) =>
    given.map(({ name = '' }) => name).filter((_, index) => ((sources >> BigInt(index)) & 1n) === 1n);
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
