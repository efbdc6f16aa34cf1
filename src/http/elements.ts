import type { Feeds } from '../engine/types.ts';

/** Elements of all inputs together: what a run's cost is predicted by. */
export function elementsOf(feeds: Feeds): number {
  let elements = 0;
  for (const { data } of feeds.values()) elements += data.length;
  return elements;
}
