/** Whether a graph takes another path for other values: what was seen of one path says nothing of the other. */
import type { ModelProto, NodeProto } from './proto-types.ts';
import { inputValues } from './value-types.ts';
import { type Scope, scopesOf, subgraphsOf } from './walk.ts';

/** Their outputs depend on the shape of what goes in, not on its values. */
const shapeOperators: ReadonlySet<string> = new Set(['Shape', 'Size']);

/**
 * The name of an operator whose path depends on the values of the model's inputs: an If, or a Loop that ends by a value;
 * undefined where paths depend on shapes and constants alone. What cannot be told counts as dependent.
 */
export function findValueDependentBranch(model: ModelProto): string | undefined {
  const scopes = [...scopesOf({ ...model, trainingInfo: [] })];
  const dependent = namesThatDependOnValues(model, scopes);
  for (const { nodes } of scopes) {
    for (const { opType, input = [], attribute = [] } of nodes) {
      if (opType === 'If' && input.some((name) => dependent.has(name))) return 'If';
      if (opType !== 'Loop') continue;
      // Its body gives the condition to go on as the first output.
      const goesOn = attribute.map(({ g }) => g?.output?.[0]?.name ?? '');
      if ([...input.slice(0, 2), ...goesOn].some((name) => dependent.has(name))) return 'Loop';
    }
  }
  return undefined;
}

/** A name that several scopes use counts as dependent where it is in one of them. */
function namesThatDependOnValues(model: ModelProto, scopes: readonly Scope[]): ReadonlySet<string> {
  const dependent = new Set<string>();
  for (const { name = '' } of inputValues(model.graph ?? {})) dependent.add(name);
  for (const { input = [] } of model.functions ?? []) for (const name of input) dependent.add(name);
  for (const { nodes } of scopes) {
    for (const { opType, attribute = [] } of nodes) {
      for (const { g } of attribute) {
        // A Loop hands its body the number of the round and the condition, then what it carries.
        const carried = opType === 'Loop' ? g?.input?.slice(2) : g?.input;
        for (const { name = '' } of carried ?? []) dependent.add(name);
      }
    }
  }
  for (let known = -1; known !== dependent.size; ) {
    known = dependent.size;
    for (const { nodes } of scopes) {
      for (const node of nodes) {
        if (dependsOnValues(node, dependent)) for (const name of node.output ?? []) dependent.add(name);
      }
    }
  }
  return dependent;
}

function dependsOnValues(
  { opType = '', input = [], attribute = [] }: NodeProto,
  dependent: ReadonlySet<string>,
) {
  if (shapeOperators.has(opType)) return false;
  // What a subgraph takes from outside is not among the node's inputs.
  if (attribute.some((each) => subgraphsOf(each).length > 0)) return true;
  return input.some((name) => dependent.has(name));
}
