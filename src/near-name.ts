/** Finds the known name nearest to a mistyped one, for messages. Pure. */

/**
 * Returns the name of `known` that `name` most likely means: equal except for case, `_` and `-`, or within a third of its
 * length in insertions, deletions, substitutions and swaps of neighbours. Returns the first of equally near names, and
 * undefined if none is near enough.
 */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const folded = fold(name);
  let nearest: string | undefined;
  let least = Math.floor(folded.length / 3) + 1;
  for (const candidate of known) {
    const distance = editDistance(folded, fold(candidate), least);
    if (distance < least) {
      nearest = candidate;
      least = distance;
    }
  }
  return nearest;
}

/** Removes case, `_` and `-`, which people confuse. Clips the name. */
function fold(name: string): string {
  return name.slice(0, maxNameLength).toLowerCase().replace(/[_-]/g, '');
}

/** Callers' names may have any length, and the cost of a comparison is the product of both lengths. */
const maxNameLength = 100;

/** Returns the edit distance with swaps of neighbours (optimal string alignment), at most `limit`. */
function editDistance(from: string, to: string, limit: number): number {
  if (Math.abs(from.length - to.length) >= limit) return limit;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const isSame = from[row - 1] === to[column - 1];
      let cost = Math.min(
        at(previous, column) + 1,
        at(current, column - 1) + 1,
        at(previous, column - 1) + (isSame ? 0 : 1),
      );
      const isSwap =
        row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (isSwap) cost = Math.min(cost, at(beforePrevious, column - 2) + 1);
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return Math.min(limit, at(previous, to.length));
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
