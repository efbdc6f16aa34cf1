/** Interprets a graph node by node, with knowledge in place of values. */
import type { FunctionProto, GraphProto, ModelProto, NodeProto } from '../proto-types.ts';
import { randomOperators } from '../random.ts';
import { isStandardDomain } from '../walk.ts';
import { runBodies, runIf, runLoop, runScan } from './control-flow.ts';
import { Environment, isWholeType, knowledgeOfConstant, knowledgeOfTensor } from './environment.ts';
import {
  above,
  below,
  constant,
  fixed,
  hasBits,
  isSameKnowledge,
  joinKnowledge,
  type Knowledge,
  limited,
  normalise,
  shapeFixed,
  shapeLimited,
  unknown,
} from './knowledge.ts';
import { isKnownDomain, type SizingInput, shapingInputs, sizingInputs } from './operators.ts';
import { isWholeOutput, rangeOf } from './ranges.ts';
import { type Finding, Place, type Step, type Surroundings } from './step.ts';

export class Interpreter implements Surroundings {
  readonly #functions: ReadonlyMap<string, FunctionProto>;
  readonly #root = new Place();
  #findings = new Map<NodeProto, Finding>();
  #drivers = 0n;
  #learned = false;
  #impatient = false;

  constructor({ functions = [] }: ModelProto) {
    this.#functions = new Map(
      functions.map((each) => [functionKey(each.domain, each.name, each.overload), each]),
    );
  }

  /** The findings of the last round. */
  get findings(): readonly Finding[] {
    return [...this.#findings.values()];
  }

  /** The inputs whose values decide the cost within bounds, one bit each. */
  get drivers(): bigint {
    return this.#drivers;
  }

  /** Interprets the model once. Returns whether something new was learned about a loop, so that another round is due. */
  runRound(graph: GraphProto, environment: Environment, impatient: boolean): boolean {
    this.#findings = new Map();
    this.#drivers = 0n;
    this.#learned = false;
    this.#impatient = impatient;
    this.runGraph(graph, environment, this.#root);
    return this.#learned;
  }

  runGraph(
    { node = [], initializer = [], sparseInitializer = [], output = [] }: GraphProto,
    environment: Environment,
    place: Place,
  ): Knowledge[] {
    // This overrides inputs of the same name: callers do not give values that have an initializer.
    for (const tensor of initializer) environment.define(tensor.name ?? '', knowledgeOfTensor(tensor));
    for (const { values } of sparseInitializer) {
      environment.define(values?.name ?? '', constant(isWholeType(values?.dataType)));
    }
    for (const each of node) this.#runNode(each, environment, place);
    return output.map(({ name = '' }) => environment.find(name) ?? unknown);
  }

  carry(place: Place, index: number, next: Knowledge): Knowledge {
    const before = place.carried[index];
    if (before === undefined) {
      place.carried[index] = next;
      this.#learned = true;
      return next;
    }
    const joined = joinKnowledge(before, next);
    if (isSameKnowledge(joined, before)) return before;
    this.#learned = true;
    const learned = this.#impatient ? { ...unknown, sources: joined.sources } : joined;
    place.carried[index] = learned;
    return learned;
  }

  size(node: NodeProto, known: Knowledge, { need, decides }: Omit<SizingInput, 'input'>): void {
    if (hasBits(known.values, fixed)) return;
    if (hasBits(known.values, need)) this.#drivers |= known.sources;
    else this.find(node, decides, known.sources);
  }

  find(node: NodeProto, decides: string, sources: bigint): void {
    const before = this.#findings.get(node);
    this.#findings.set(node, { node, decides, sources: sources | (before?.sources ?? 0n) });
  }

  drive(sources: bigint): void {
    this.#drivers |= sources;
  }

  #runNode(node: NodeProto, environment: Environment, place: Place): void {
    const { input = [], output = [] } = node;
    const inputs = input.map((name) => (name === '' ? undefined : (environment.find(name) ?? unknown)));
    const outputs = this.#interpret(node, inputs, environment, place);
    for (const [index, name] of output.entries()) environment.define(name, outputs(index));
  }

  /** Returns a function from the position of an output to what is known about it. */
  #interpret(
    node: NodeProto,
    inputs: readonly (Knowledge | undefined)[],
    environment: Environment,
    place: Place,
  ): (index: number) => Knowledge {
    const called = this.#functions.get(functionKey(node.domain, node.opType, node.overload));
    const step = { interpreter: this, node, inputs, environment, place: place.at(node) };
    if (called !== undefined) return outputAt(this.#call(called, step));
    if (!isKnownDomain(node)) return () => ({ ...unknown, sources: sourcesOf(inputs) });
    switch (node.opType) {
      case 'Constant':
        return () => knowledgeOfConstant(environment, node);
      case 'If':
        return outputAt(runIf(step));
      case 'Loop':
        return outputAt(runLoop(step));
      case 'Scan':
        return outputAt(runScan(step));
      case 'Shape':
      case 'Size':
      case 'SequenceLength':
        return () => shapeOf(inputs[0] ?? unknown);
      default:
        runBodies(step);
        return this.#interpretPlain(node, inputs, environment);
    }
  }

  #call(
    { input = [], output = [], node = [], attributeProto = [] }: FunctionProto,
    { inputs, node: caller, place, environment }: Step,
  ): Knowledge[] {
    const attributes = new Map(attributeProto.map((each) => [each.name ?? '', each]));
    for (const each of caller.attribute ?? []) {
      const given = environment.resolve(each);
      if (given !== undefined) attributes.set(each.name ?? '', given);
    }
    const body = new Environment(undefined, attributes);
    for (const [index, name] of input.entries()) {
      const known = inputs[index];
      if (known !== undefined) body.define(name, known);
    }
    for (const each of node) this.#runNode(each, body, place);
    return output.map((name) => body.find(name) ?? unknown);
  }

  #interpretPlain(
    node: NodeProto,
    inputs: readonly (Knowledge | undefined)[],
    environment: Environment,
  ): (index: number) => Knowledge {
    for (const sizing of sizingInputs(node)) {
      const known = inputs[sizing.input];
      if (known !== undefined) this.size(node, known, sizing);
    }
    if (node.opType === 'Range') this.#sizeRange(node, inputs);
    const shape = shapeAfter(node, inputs, environment);
    const sources = sourcesOf(inputs);
    const isDecided =
      !randomOperators.has(node.opType ?? '') &&
      inputs.every((known) => known === undefined || hasBits(known.values, fixed));
    return (index) =>
      normalise({
        values: isDecided ? fixed : rangeOf(node, inputs, index),
        shape,
        whole: isWhole(node, inputs, index, environment),
        sources,
      });
  }

  /** The length is `(limit - start) / delta`: if the sign of the step is known, one bound of each is enough. */
  #sizeRange(node: NodeProto, [start, limit, delta]: readonly (Knowledge | undefined)[]): void {
    const decides = 'the length of the range';
    if (start === undefined || limit === undefined || delta === undefined) return;
    const step = delta.scalar ?? 0;
    const [ofStart, ofLimit] = step > 0 ? [below, above] : step < 0 ? [above, below] : [limited, limited];
    this.size(node, start, { need: ofStart, decides });
    this.size(node, limit, { need: ofLimit, decides });
    // Whole steps are at least 1; other steps may be as small as a float can be.
    this.size(node, delta, { need: delta.whole ? 0 : fixed, decides });
  }
}

function functionKey(domain = '', name = '', overload = ''): string {
  return `${isStandardDomain(domain) ? '' : domain}:${name}:${overload}`;
}

function outputAt(outputs: readonly Knowledge[]): (index: number) => Knowledge {
  return (index) => outputs[index] ?? unknown;
}

export function sourcesOf(inputs: readonly (Knowledge | undefined)[]): bigint {
  return inputs.reduce((sources, known) => sources | (known?.sources ?? 0n), 0n);
}

/** Returns what is known about the dimensions of `known`, taken as values. */
function shapeOf(known: Knowledge): Knowledge {
  const values = known.shape === shapeFixed ? fixed : known.shape === shapeLimited ? limited : below;
  const sources = known.shape === shapeFixed ? 0n : known.sources;
  return { values, shape: known.shape === shapeFixed ? shapeFixed : shapeLimited, whole: true, sources };
}

function shapeAfter(
  node: NodeProto,
  inputs: readonly (Knowledge | undefined)[],
  environment: Environment,
): number {
  // An unbounded size was reported at its node, and is not reported again at the nodes after it.
  const shape = inputs.reduce((mask, known) => mask & (known?.shape ?? shapeFixed), shapeFixed);
  const chosen = shapingInputs(node).filter((index) => !hasBits(inputs[index]?.values ?? fixed, fixed));
  if (chosen.length === 0) return shape;
  // Beside a dimension of 0, another dimension may have any size.
  const free = node.opType === 'Reshape' && environment.attribute(node, 'allowzero')?.i === 1n;
  return free ? 0 : shape & shapeLimited;
}

function isWhole(
  node: NodeProto,
  inputs: readonly (Knowledge | undefined)[],
  output: number,
  environment: Environment,
): boolean {
  switch (node.opType) {
    case 'Cast':
      return isWholeType(Number(environment.attribute(node, 'to')?.i ?? 0n));
    case 'ConstantOfShape':
      return isWholeType(environment.attribute(node, 'value')?.t?.dataType);
    default:
      return isWholeOutput(node, inputs, output);
  }
}
