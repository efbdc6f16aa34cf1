import type { ModelProto } from './proto-types.ts';
import { scopesOf } from './walk.ts';

/** Every name that a node, or an output of a graph, takes its value from, in whatever scope. */
export function namesUsed(model: ModelProto): ReadonlySet<string> {
  const used = new Set<string>();
  for (const { graph, nodes } of scopesOf(model)) {
    for (const { name = '' } of graph?.output ?? []) used.add(name);
    for (const { input = [] } of nodes) for (const name of input) used.add(name);
  }
  return used;
}

/** Names that are not in the model yet, beginning with `prefix`. */
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
