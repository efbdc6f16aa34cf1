import type { ModelProto } from './proto-types.ts';
import { scopesOf } from './walk.ts';

/** Returns every name that is the input of a node or the output of a graph, in any scope. */
export function namesUsed(model: ModelProto): ReadonlySet<string> {
  const used = new Set<string>();
  for (const { graph, nodes } of scopesOf(model)) {
    for (const { name = '' } of graph?.output ?? []) used.add(name);
    for (const { input = [] } of nodes) for (const name of input) used.add(name);
  }
  return used;
}

/** Returns a function that makes names that the model does not have yet, each beginning with `prefix`. */
export function nameMaker(model: ModelProto, prefix: string): () => string {
  const taken = new Set<string>();
  for (const { graph, nodes } of scopesOf(model)) {
    for (const { name = '' } of [...(graph?.input ?? []), ...(graph?.initializer ?? [])]) taken.add(name);
    for (const { output = [] } of nodes) for (const name of output) taken.add(name);
  }
  let count = 0;
  return () => {
    let name: string;
    do {
      count += 1;
      name = `${prefix}${count}`;
    } while (taken.has(name));
    return name;
  };
}
