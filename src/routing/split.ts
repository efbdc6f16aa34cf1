/**
 * Which arm of a split a caller falls to. Pure, and the same everywhere: a hash of the caller's key is a point between 0
 * and 100, and the arms lie there one after the other in their order. So a caller stays in its arm as long as the arms
 * stay, and when a percentage changes only those move that a boundary passes over: an arm that grows at a neighbour's
 * cost takes callers in and sends none away.
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
  // Fractions may add up to a hair less than 100.
  return arms.at(-1);
}

/** 0 to 100, 100 itself excluded. */
export function pointOf(key: string): number {
  return (hash32(key) / 2 ** 32) * 100;
}

/**
 * FNV-1a over the UTF-16 units (https://datatracker.ietf.org/doc/html/draft-eastlake-fnv), then the finaliser of
 * MurmurHash3: FNV alone leaves the upper bits of keys that differ in their last character close to one another.
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
