/** The known name that a mistyped one is nearest to, for messages. Pure. */

/**
 * Returns the name of `known` that `name` was most likely meant to be: equal but for case, `_` and `-`, or within a third
 * of its length in insertions, deletions, substitutions and swaps of neighbours. Undefined if none is that near. Of equally
 * near names the first one is returned.
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

/** What a person means by a name, however its words are joined. */
function fold(name: string): string {
  return name.slice(0, maxNameLength).toLowerCase().replace(/[_-]/g, '');
}

/** A stranger's name may be of any length; the cost of a comparison grows with the product of both lengths. */
const maxNameLength = 100;

/**
 * Edit distance with swaps of neighbours (optimal string alignment), `limit` where it is that or more.
 */
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
