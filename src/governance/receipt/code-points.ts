/**
 * Compares by code points, which is also the order of the UTF-8 bytes. JavaScript compares UTF-16 units, in which U+FF5E
 * comes after U+1F600, whose first unit is a surrogate.
 */
export function byCodePoints(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at += 1) {
    const [a, b] = [one.charCodeAt(at), other.charCodeAt(at)];
    if (a !== b) return rank(a) - rank(b);
  }
  return one.length - other.length;
}

/** Ranks surrogates, which encode code points from 0x10000 on, after all other units. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}
