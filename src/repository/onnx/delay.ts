/**
 * Dequantises weights when they are needed. ONNX Runtime first runs every node that depends on initializers alone, so all
 * weights would be in memory in their wide form at once. Here each such node is made to depend on the activations that its
 * result is combined with, without a change to any value: its weights are reshaped to their own shape plus zero times the
 * number of activations.
 */
import { nameMaker } from './names-used.ts';
import {
  attributeTypes,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  tensorTypes,
} from './proto-types.ts';
import { elementBits, presentBytes } from './tensor-data.ts';
import { subgraphsOf } from './walk.ts';

/** @param minBytes Smaller weights are left as they are. */
export function delayWeights(model: ModelProto, minBytes: number): ModelProto {
  const { graph } = model;
  if (graph === undefined) return model;
  const plan = new Plan(graph, minBytes, nameMaker(model, 'delayed/'));
  const node = (graph.node ?? []).flatMap((each) => plan.place(each));
  if (plan.initializers.length === 0) return model;
  return {
    ...model,
    graph: { ...graph, node, initializer: [...(graph.initializer ?? []), ...plan.initializers] },
  };
}

class Plan {
  /** New initializers: the shapes, and the zero to multiply with. */
  readonly initializers: TensorProto[] = [];
  readonly #minBytes: number;
  readonly #fresh: () => string;
  readonly #weights: ReadonlyMap<string, TensorProto>;
  /** Value → the node that makes it from weights alone; removed when the node is placed. */
  readonly #waiting = new Map<string, NodeProto>();
  /** Activations → the value that is zero times their number. */
  readonly #zeros = new Map<string, string>();
  /** Outputs of Constant nodes. */
  readonly #constants = new Set<string>();

  constructor(graph: GraphProto, minBytes: number, fresh: () => string) {
    this.#minBytes = minBytes;
    this.#fresh = fresh;
    const inputs = new Set(graph.input?.map(({ name }) => name));
    this.#weights = new Map(
      (graph.initializer ?? [])
        .filter(({ name }) => !inputs.has(name))
        .map((tensor) => [tensor.name ?? '', tensor]),
    );
    const outputs = new Set(graph.output?.map(({ name }) => name));
    const inner = new Set(namesInSubgraphs(graph));
    for (const node of graph.node ?? []) {
      const { opType, input = [], output = [], attribute = [] } = node;
      if (opType === 'Constant') for (const name of output) this.#constants.add(name);
      const isConstant = input.every((name) => this.#isConstant(name));
      const isPlain = attribute.every((each) => subgraphsOf(each).length === 0);
      const isFree = output.every((name) => !outputs.has(name) && !inner.has(name));
      if (isConstant && isPlain && isFree && input.length > 0) {
        for (const name of output) this.#waiting.set(name, node);
      }
    }
  }

  /** Returns the nodes in place of `node`: none if it has to wait, else the waiting nodes that it needs, and `node`. */
  place(node: NodeProto): NodeProto[] {
    const [first = ''] = node.output ?? [];
    if (this.#waiting.get(first) === node) return [];
    const inputs = node.input ?? [];
    const activations = inputs.find((name) => !this.#isConstant(name));
    const before = inputs.flatMap((name) => this.#take(name, activations));
    return [...before, node];
  }

  #isConstant(name: string): boolean {
    return name === '' || [this.#weights, this.#waiting, this.#constants].some((values) => values.has(name));
  }

  #take(name: string, activations: string | undefined): NodeProto[] {
    const node = this.#waiting.get(name);
    if (node === undefined) return [];
    for (const output of node.output ?? []) this.#waiting.delete(output);
    const before = (node.input ?? []).flatMap((each) => this.#take(each, activations));
    const input: string[] = [];
    for (const each of node.input ?? []) {
      const weights = this.#weights.get(each);
      const isLarge = weights !== undefined && (presentBytes(weights) ?? 0) >= this.#minBytes;
      // Sub-byte types cannot be reshaped in older opsets.
      const isDelayed = isLarge && activations !== undefined && (elementBits(weights.dataType) ?? 0) >= 8;
      input.push(isDelayed ? this.#delay(weights, activations, before) : each);
    }
    return [...before, { ...node, input }];
  }

  #delay({ name = '', dims = [] }: TensorProto, activations: string, before: NodeProto[]): string {
    const zero = this.#makeZero(activations, before);
    const shape = this.#addConstant([BigInt(dims.length)], BigInt64Array.from(dims));
    const delayedShape = this.#fresh();
    const delayed = this.#fresh();
    before.push(
      { opType: 'Add', name: delayedShape, input: [shape, zero], output: [delayedShape] },
      { opType: 'Reshape', name: delayed, input: [name, delayedShape], output: [delayed] },
    );
    return delayed;
  }

  /** Returns a value that is zero, and known only once the activations are. */
  #makeZero(activations: string, before: NodeProto[]): string {
    const known = this.#zeros.get(activations);
    if (known !== undefined) return known;
    const count = this.#fresh();
    const zero = this.#fresh();
    before.push(
      { opType: 'Size', name: count, input: [activations], output: [count] },
      {
        opType: 'Mul',
        name: zero,
        input: [count, this.#addConstant([], BigInt64Array.of(0n))],
        output: [zero],
      },
    );
    this.#zeros.set(activations, zero);
    return zero;
  }

  #addConstant(dims: readonly bigint[], values: BigInt64Array): string {
    const name = this.#fresh();
    const rawData = new Uint8Array(values.buffer);
    this.initializers.push({ name, dims, dataType: tensorTypes.INT64, rawData });
    return name;
  }
}

function* namesInSubgraphs(graph: GraphProto): Generator<string> {
  for (const { attribute = [] } of graph.node ?? []) {
    for (const each of attribute) {
      const { type } = each;
      if (type !== undefined && type !== attributeTypes.GRAPH && type !== attributeTypes.GRAPHS) continue;
      for (const inner of subgraphsOf(each)) {
        for (const { name = '' } of inner.output ?? []) yield name;
        for (const { input = [] } of inner.node ?? []) yield* input;
        yield* namesInSubgraphs(inner);
      }
    }
  }
}
