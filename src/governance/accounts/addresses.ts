/**
 * Connection addresses as what to count by. An address is never kept, logged or sent on: what is counted by is a hash of it
 * under a salt that this process draws anew and tells nobody, so two processes know one address by different names.
 */

/** 53 bits: a count of the wrong one by chance is no matter. */
type Hash = (text: string) => string;

/** A hash under a salt of this process. Not for secrets: whoever reads this memory can try addresses out. */
export function saltedHash(salt: Uint32Array = crypto.getRandomValues(new Uint32Array(2))): Hash {
  const [one = 0, two = 0] = salt;
  return (text) => {
    let high = 0xdeadbeef ^ one;
    let low = 0x41c6ce57 ^ two;
    for (let at = 0; at < text.length; at += 1) {
      const unit = text.charCodeAt(at);
      high = Math.imul(high ^ unit, 2654435761);
      low = Math.imul(low ^ unit, 1597334677);
    }
    high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
    low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
    return (4294967296 * (2097151 & low) + (high >>> 0)).toString(36);
  };
}

/**
 * What one subscriber holds: an IPv4 address as it is, of an IPv6 address the first 64 bits, since the rest is theirs to
 * choose (RFC 6177).
 */
export function subscriberOf(address: string): string {
  if (!address.includes(':')) return address;
  // An IPv4 address in the form of IPv6 has all that tells it apart at its end.
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = '', tail] = address.toLowerCase().split('::');
  const first = groups(head);
  const last = tail === undefined ? [] : groups(tail);
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  return [...first, ...Array<string>(zeros).fill('0'), ...last]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}

function groups(text: string): string[] {
  return text === '' ? [] : text.split(':');
}
