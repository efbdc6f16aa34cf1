import type { Feeds } from '../../engine/types.ts';
import { elementCount } from '../../tensor/shape.ts';

/** Elements of all inputs together: what a run's cost is predicted by. */
export function elementsOf(feeds: Feeds): number {
  let elements = 0;
  for (const { shape } of feeds.values()) elements += elementCount(shape);
  return elements;
}
