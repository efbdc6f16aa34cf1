import type { Feeds } from '../../engine/types.ts';
import { elementCount } from '../../tensor/shape.ts';

/** Returns the number of elements of all inputs, from which the cost of a run is predicted. */
export function elementsOf(feeds: Feeds): number {
  let elements = 0;
  for (const { shape } of feeds.values()) elements += elementCount(shape);
  return elements;
}
