export interface LruOptions {
  readonly maxBytes: number;
}

interface Slot<V> {
  readonly value: V;
  readonly bytes: number;
}

/**
 * A cache that holds values of at most `maxBytes` together and evicts the least recently used first. The user supplies each
 * value's weight; nothing is measured.
 */
export class Lru<K, V> {
  readonly #maxBytes: number;
  /** The oldest first: a Map iterates in insertion order, and each use inserts the slot again. */
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

  /** Returns the value and makes it the most recently used one. */
  get(key: K): V | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined) return undefined;
    this.#slots.delete(key);
    this.#slots.set(key, slot);
    return slot.value;
  }

  /** Returns the value without changing its age. */
  peek(key: K): V | undefined {
    return this.#slots.get(key)?.value;
  }

  has(key: K): boolean {
    return this.#slots.has(key);
  }

  /**
   * Stores `value` as the most recently used one, replaces the key's previous value, and evicts the oldest others until all
   * fit. A value larger than `maxBytes` is not stored: only the key's previous value goes.
   *
   * @returns whether the value was stored.
   * @throws RangeError if `bytes` is negative or NaN.
   */
  set(key: K, value: V, bytes: number): boolean {
    if (!(bytes >= 0))
      throw new RangeError(`the weight of a cached value is ${bytes}; expected at least 0 bytes`);
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

  /** @returns whether the key was in the cache. */
  delete(key: K): boolean {
    const slot = this.#slots.get(key);
    if (slot === undefined) return false;
    this.#slots.delete(key);
    this.#bytes -= slot.bytes;
    return true;
  }

  /** Yields keys and values, the least recently used first. */
  *[Symbol.iterator](): IterableIterator<[K, V]> {
    for (const [key, slot] of this.#slots) yield [key, slot.value];
  }
}
