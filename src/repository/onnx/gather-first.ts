/**
 * Looks rows up before they are dequantised: Gather(Mul(Cast(W), s), i) becomes Mul(Cast(Gather(W, i)), s). The values are
 * the same, but only the requested rows are computed, not the whole vocabulary.
 */
import { nameMaker, namesUsed } from './names-used.ts';
import type { GraphProto, ModelProto, NodeProto } from './proto-types.ts';
import { isStandardDomain } from './walk.ts';

/** Operators that compute each element from the elements at the same position. */
const elementwise: ReadonlySet<string> = new Set(['Mul', 'Sub', 'Add', 'Div']);

export function gatherFirst(model: ModelProto): ModelProto {
  const { graph } = model;
  if (graph === undefined) return model;
  const constants = new ConstantValues(graph);
  const fresh = nameMaker(model, 'gathered/');
  const node = (graph.node ?? []).flatMap((each) => lookUp(each, constants, fresh));
  if (node.length === graph.node?.length) return model;
  return removeUnusedConstants({ ...model, graph: { ...graph, node } }, constants);
}

/** Returns the nodes in place of `gather`, in order. */
function lookUp(gather: NodeProto, constants: ConstantValues, fresh: () => string): NodeProto[] {
  const [data = '', indices = ''] = gather.input ?? [];
  const producer = constants.producerOf(data);
  if (!isGatherOfRows(gather) || producer === undefined) return [gather];
  const inputs: string[] = [];
  const before: NodeProto[] = [];
  for (const name of producer.input ?? []) {
    const hasRows = constants.hasRowsOf(name, data);
    if (hasRows === undefined) return [gather];
    if (hasRows) {
      const row = fresh();
      before.push(
        ...lookUp({ ...gather, name: row, input: [name, indices], output: [row] }, constants, fresh),
      );
      inputs.push(row);
    } else {
      inputs.push(name);
    }
  }
  return [...before, { ...producer, name: fresh(), input: inputs, output: gather.output ?? [] }];
}

function isGatherOfRows({ opType, domain, attribute = [] }: NodeProto): boolean {
  const axis = attribute.find(({ name }) => name === 'axis')?.i ?? 0n;
  return opType === 'Gather' && isStandardDomain(domain) && axis === 0n;
}

type Dims = readonly bigint[];

/** Values made from initializers alone by operators that keep each element in its position, and their shapes. */
class ConstantValues {
  readonly #dims = new Map<string, Dims>();
  readonly #producers = new Map<string, NodeProto>();

  constructor(graph: GraphProto) {
    const inputs = new Set(graph.input?.map(({ name }) => name));
    for (const { name = '', dims = [] } of graph.initializer ?? []) {
      if (!inputs.has(name)) this.#dims.set(name, dims);
    }
    for (const node of graph.node ?? []) {
      const [output = ''] = node.output ?? [];
      const dims = this.#shapeOf(node);
      if (dims === undefined) continue;
      this.#dims.set(output, dims);
      this.#producers.set(output, node);
    }
  }

  producerOf(name: string): NodeProto | undefined {
    return this.#producers.get(name);
  }

  /**
   * Reports whether the value has a row for each row of `result`. False if it is the same for all rows, and has no more
   * dimensions; undefined in any other case.
   */
  hasRowsOf(name: string, result: string): boolean | undefined {
    const dims = this.#dims.get(name);
    const expected = this.#dims.get(result);
    if (dims === undefined || expected === undefined || expected.length === 0) return undefined;
    if (dims.length < expected.length || dims[0] === 1n) return expected[0] === 1n ? undefined : false;
    return dims.length === expected.length && dims[0] === expected[0] ? true : undefined;
  }

  #shapeOf({ opType = '', domain, input = [], output = [], attribute = [] }: NodeProto): Dims | undefined {
    if (!isStandardDomain(domain) || output.length !== 1) return undefined;
    const shapes = input.map((name) => this.#dims.get(name));
    const [first] = shapes;
    if (first === undefined || shapes.includes(undefined)) return undefined;
    if (opType === 'Cast' && input.length === 1) return first;
    if (elementwise.has(opType)) return shapes.reduce((a, b) => a && b && broadcast(a, b));
    // Only with one scale for all elements: other scales go along an axis, which a look-up moves.
    const isPerTensor = attribute.length === 0 && shapes.slice(1).every((dims) => dims?.length === 0);
    return opType === 'DequantizeLinear' && isPerTensor ? first : undefined;
  }
}

function broadcast(a: Dims, b: Dims): Dims | undefined {
  const [long, short] = a.length >= b.length ? [a, b] : [b, a];
  const skipped = long.length - short.length;
  const dims: bigint[] = [];
  for (const [axis, size] of long.entries()) {
    const other = axis < skipped ? 1n : (short[axis - skipped] ?? 1n);
    if (size !== other && size !== 1n && other !== 1n) return undefined;
    dims.push(size === 1n ? other : size);
  }
  return dims;
}

function removeUnusedConstants(model: ModelProto, constants: ConstantValues): ModelProto {
  const used = namesUsed(model);
  const node = (model.graph?.node ?? []).filter(({ output = [] }) => {
    const [name = ''] = output;
    return used.has(name) || constants.producerOf(name) === undefined;
  });
  if (node.length === model.graph?.node?.length) return model;
  return removeUnusedConstants({ ...model, graph: { ...model.graph, node } }, constants);
}
