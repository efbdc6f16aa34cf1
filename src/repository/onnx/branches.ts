/** Finds branches that depend on values: measurements of one path say nothing about the other. */
import type { ModelProto, NodeProto } from './proto-types.ts';
import { inputValues } from './value-types.ts';
import { type Scope, scopesOf, subgraphsOf } from './walk.ts';

/** Operators whose outputs depend on the shape of their input, not on its values. */
const shapeOperators: ReadonlySet<string> = new Set(['Shape', 'Size']);

/**
 * Returns `If` or `Loop` if the model has one whose path depends on the values of the model's inputs; undefined if all paths
 * depend on shapes and constants alone. A value of unknown origin counts as dependent.
 */
export function findValueDependentBranch(model: ModelProto): string | undefined {
  const scopes = [...scopesOf({ ...model, trainingInfo: [] })];
  const dependent = findDependentNames(model, scopes);
  for (const { nodes } of scopes) {
    for (const { opType, input = [], attribute = [] } of nodes) {
      if (opType === 'If' && input.some((name) => dependent.has(name))) return 'If';
      if (opType !== 'Loop') continue;
      // The first output of the body is the condition to continue.
      const conditions = attribute.map(({ g }) => g?.output?.[0]?.name ?? '');
      if ([...input.slice(0, 2), ...conditions].some((name) => dependent.has(name))) return 'Loop';
    }
  }
  return undefined;
}

/** Returns the names of values that depend on the model's inputs. A name is dependent if it is in any scope that uses it. */
function findDependentNames(model: ModelProto, scopes: readonly Scope[]): ReadonlySet<string> {
  const dependent = new Set<string>();
  for (const { name = '' } of inputValues(model.graph ?? {})) dependent.add(name);
  for (const { input = [] } of model.functions ?? []) for (const name of input) dependent.add(name);
  for (const { nodes } of scopes) {
    for (const { opType, attribute = [] } of nodes) {
      for (const { g } of attribute) {
        // A Loop passes its body the iteration number and the condition, then the values that it carries.
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
  // Values that a subgraph captures are not among the node's inputs.
  if (attribute.some((each) => subgraphsOf(each).length > 0)) return true;
  return input.some((name) => dependent.has(name));
}
