export interface LruOptions {
  readonly maxBytes: number;
}

interface Slot<V> {
  readonly value: V;
  readonly bytes: number;
}

/**
 * A cache that holds at most `maxBytes` of values by the weights that its user gives, and forgets the least recently
 * used first. Weights are estimates of the user: nothing is measured.
 */
export class Lru<K, V> {
  readonly #maxBytes: number;
  /** Oldest first: a Map iterates in the order of insertion, and a use inserts anew. */
  readonly #slots = new Map<K, Slot<V>>();
  #bytes = 0;

  constructor(options: LruOptions) {
    this.#maxBytes = options.maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#slots.size;
  }

  /** The value, which becomes the most recently used one. */
  get(key: K): V | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined) return undefined;
    this.#slots.delete(key);
    this.#slots.set(key, slot);
    return slot.value;
  }

  /** The value, its age unchanged. */
  peek(key: K): V | undefined {
    return this.#slots.get(key)?.value;
  }

  has(key: K): boolean {
    return this.#slots.has(key);
  }

  /**
   * Holds `value` as the most recently used one, in place of the key's former value, and pushes out the oldest others
   * until all fit. A value that is larger than `maxBytes` by itself is not held and pushes nothing out.
   *
   * @returns whether the value is held.
   * @throws RangeError when `bytes` is negative or not a number.
   */
  set(key: K, value: V, bytes: number): boolean {
    if (!(bytes >= 0)) throw new RangeError(`weight of a cached value is ${bytes}: wanted 0 bytes or more`);
    this.delete(key);
    if (bytes > this.#maxBytes) return false;
    for (const oldest of this.#slots.keys()) {
      if (this.#bytes + bytes <= this.#maxBytes) break;
      this.delete(oldest);
    }
    this.#slots.set(key, { value, bytes });
    this.#bytes += bytes;
    return true;
  }

  /** @returns whether the key was held. */
  delete(key: K): boolean {
    const slot = this.#slots.get(key);
    if (slot === undefined) return false;
    this.#slots.delete(key);
    this.#bytes -= slot.bytes;
    return true;
  }

  /** Keys and values, the least recently used first. */
  *[Symbol.iterator](): IterableIterator<[K, V]> {
    for (const [key, slot] of this.#slots) yield [key, slot.value];
  }
}
