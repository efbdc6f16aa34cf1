/** Knowledge about the values of one graph, subgraph or function call, by name. */
import type { AttributeProto, NodeProto, TensorProto } from '../proto-types.ts';
import { tensorTypes } from '../proto-types.ts';
import { constant, type Knowledge } from './knowledge.ts';

export class Environment {
  readonly #known = new Map<string, Knowledge>();
  readonly #parent: Environment | undefined;
  /** Attributes of a function call, which attributes in the function's body may refer to. */
  readonly #attributes: ReadonlyMap<string, AttributeProto>;

  /** A subgraph sees the names and attributes around it; the body of a function sees neither. */
  constructor(parent?: Environment, attributes?: ReadonlyMap<string, AttributeProto>) {
    this.#parent = parent;
    this.#attributes = attributes ?? parent?.attributes ?? new Map();
  }

  get attributes(): ReadonlyMap<string, AttributeProto> {
    return this.#attributes;
  }

  find(name: string): Knowledge | undefined {
    return this.#known.get(name) ?? this.#parent?.find(name);
  }

  define(name: string, known: Knowledge): void {
    if (name !== '') this.#known.set(name, known);
  }

  /** Returns the node's attribute, or the attribute of the function call that it refers to. */
  attribute({ attribute = [] }: NodeProto, name: string): AttributeProto | undefined {
    const own = attribute.find((each) => each.name === name);
    return this.resolve(own);
  }

  resolve(attribute: AttributeProto | undefined): AttributeProto | undefined {
    const { refAttrName = '' } = attribute ?? {};
    return refAttrName === '' ? attribute : this.#attributes.get(refAttrName);
  }
}

const wholeTypes: ReadonlySet<number> = new Set([
  tensorTypes.BOOL,
  tensorTypes.INT8,
  tensorTypes.INT16,
  tensorTypes.INT32,
  tensorTypes.INT64,
  tensorTypes.UINT8,
  tensorTypes.UINT16,
  tensorTypes.UINT32,
  tensorTypes.UINT64,
  tensorTypes.INT4,
  tensorTypes.UINT4,
  tensorTypes.INT2,
  tensorTypes.UINT2,
]);

export function isWholeType(elemType: number | undefined): boolean {
  return elemType !== undefined && wholeTypes.has(elemType);
}

export function knowledgeOfTensor(tensor: TensorProto): Knowledge {
  return constant(isWholeType(tensor.dataType), scalarOf(tensor));
}

/** Returns the element of a tensor that has exactly one; undefined for other tensors, and for tensors in other files. */
function scalarOf({
  dims = [],
  dataType,
  rawData,
  int64Data,
  int32Data,
  floatData,
}: TensorProto): number | undefined {
  if (dims.some((dim) => dim !== 1n)) return undefined;
  if (rawData !== undefined) {
    const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
    if (dataType === tensorTypes.INT64 && view.byteLength === 8) return Number(view.getBigInt64(0, true));
    if (dataType === tensorTypes.INT32 && view.byteLength === 4) return view.getInt32(0, true);
    if (dataType === tensorTypes.FLOAT && view.byteLength === 4) return view.getFloat32(0, true);
    if (dataType === tensorTypes.BOOL && view.byteLength === 1) return view.getUint8(0);
    return undefined;
  }
  const element = int64Data?.[0] ?? floatData?.[0];
  if (element !== undefined) return Number(element);
  return dataType === tensorTypes.INT32 || dataType === tensorTypes.BOOL ? int32Data?.[0] : undefined;
}

/** Returns what is known about the value of a `Constant` node, in any of its attributes. */
export function knowledgeOfConstant(environment: Environment, node: NodeProto): Knowledge {
  for (const name of ['value', 'value_int', 'value_float']) {
    const attribute = environment.attribute(node, name);
    if (attribute === undefined) continue;
    const { t, i, f } = attribute;
    if (t !== undefined) return knowledgeOfTensor(t);
    return name === 'value_int' ? constant(true, Number(i ?? 0n)) : constant(false, f ?? 0);
  }
  return constant(environment.attribute(node, 'value_ints') !== undefined);
}
