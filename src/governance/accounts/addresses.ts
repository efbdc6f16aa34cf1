/**
 * Rate limits by connection address. An address is never stored, logged or sent on. It is counted by its hash under a random
 * salt of this process, so two processes know the same address by different hashes.
 */

/** 53 bits: a rare collision, which counts two addresses as one, does no harm. */
type Hash = (text: string) => string;

/** Returns a hash function under a salt of this process. Not for secrets: with access to this memory, addresses can be tried. */
export function createSaltedHash(salt: Uint32Array = crypto.getRandomValues(new Uint32Array(2))): Hash {
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
 * Returns the part of an address that identifies a subscriber: all of an IPv4 address, the first 64 bits of an IPv6 address.
 * The subscriber chooses the other bits (RFC 6177).
 */
export function subscriberOf(address: string): string {
  if (!address.includes(':')) return address;
  // The last 32 bits of an IPv4-mapped address are the IPv4 address.
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
