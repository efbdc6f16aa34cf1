/**
 * Chooses the arm of a split for a caller. Pure, and the same in every isolate: a hash of the caller's key is a point from
 * 0 to 100, and the arms divide that range in their order. So a caller stays in its arm as long as the arms stay the same.
 * When a percentage changes, only callers whose point a boundary passes move: an arm that grows at a neighbour's cost gains
 * callers and loses none.
 */
export function chooseArm<A extends { readonly percent: number }>(
  arms: readonly A[],
  stickyKey: string,
): A | undefined {
  const point = pointOf(stickyKey);
  let end = 0;
  for (const arm of arms) {
    end += arm.percent;
    if (point < end) return arm;
  }
  // Fractions may add up to slightly less than 100.
  return arms.at(-1);
}

/** Returns a number from 0 to 100, 100 excluded. */
export function pointOf(key: string): number {
  return (hash32(key) / 2 ** 32) * 100;
}

/**
 * FNV-1a over the UTF-16 units (https://datatracker.ietf.org/doc/html/draft-eastlake-fnv), then the finaliser of
 * MurmurHash3: with FNV alone, keys that differ in their last character have similar upper bits.
 */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
