/**
 * Several blob stores as one: the fastest first, the durable one last. Every read is checked against its digest, whichever
 * tier it comes from. A wrong copy is replaced or deleted, and the next tier is asked. A fast tier can be wrong, full or
 * unreachable without failing a read. Callers do not share reads, because a request's promises end with the request.
 */
import type { Bytes } from '../bytes.ts';
import { EdgewiseError } from '../errors.ts';
import { matchesDigest } from './digest.ts';
import type { BlobStore, Defer, Digest, VerifiedBlobStore } from './types.ts';

export interface TierFault {
  readonly tier: string;
  readonly operation: 'get' | 'put' | 'delete';
  readonly digest: Digest;
  /** `digest_mismatch` for wrong bytes, otherwise the error of the tier. */
  readonly error: unknown;
}

export interface TieredOptions {
  /** Lets the filling and repair of tiers outlive the request. */
  readonly defer: Defer;
  /** Called with the tier that answered a read, and the number of bytes. */
  readonly onHit?: (tier: string, byteLength: number) => void;
  /** Called when a tier fails or holds wrong bytes. */
  readonly onFault?: (fault: TierFault) => void;
}

/** Returns a single store whose reads are checked as `tiered` does. */
export function verifyReads(store: BlobStore, options: TieredOptions): VerifiedBlobStore {
  return tiered([store], options);
}

/**
 * Combines stores. `get` throws EdgewiseError `digest_mismatch` if tiers hold the digest but none has the right bytes, and the
 * error of the durable tier if it cannot be read and no tier above has the blob.
 *
 * @param tiers The fastest first. The last one is durable, and alone decides `put`, `has` and `byteLength`.
 */
export function tiered(tiers: readonly BlobStore[], options: TieredOptions): VerifiedBlobStore {
  const durable = tiers.at(-1);
  if (durable === undefined)
    throw new EdgewiseError('internal', 'the tiered store has no tier; expected at least one');
  const reader = new TieredReader(tiers, durable, options);
  const lengthOf = durable.byteLength?.bind(durable);
  return {
    name: 'tiered',
    verified: true,
    ...(durable.maxBlobBytes === undefined ? {} : { maxBlobBytes: durable.maxBlobBytes }),
    ...(lengthOf === undefined ? {} : { byteLength: lengthOf }),
    get: (digest) => reader.get(digest),
    has: (digest) => durable.has(digest),
    put: (digest, bytes) => durable.put(digest, bytes),
    async delete(digest) {
      await durable.delete(digest);
      await Promise.all(tiers.slice(0, -1).map((store) => reader.drop(store, digest)));
    },
    async discardWrong(digest) {
      await Promise.all(tiers.map((store) => reader.dropIfWrong(store, digest)));
    },
  };
}

/** Reads through the tiers, and fills or repairs those above the one that answered. */
class TieredReader {
  readonly #tiers: readonly BlobStore[];
  readonly #durable: BlobStore;
  readonly #options: TieredOptions;

  constructor(tiers: readonly BlobStore[], durable: BlobStore, options: TieredOptions) {
    this.#tiers = tiers;
    this.#durable = durable;
    this.#options = options;
  }

  async get(digest: Digest): Promise<Bytes | undefined> {
    const { defer, onFault, onHit } = this.#options;
    const lacking: BlobStore[] = [];
    const wrong: BlobStore[] = [];
    for (const store of this.#tiers) {
      let bytes: Bytes | undefined;
      try {
        bytes = await store.get(digest);
      } catch (error) {
        onFault?.({ tier: store.name, operation: 'get', digest, error });
        if (store !== this.#durable) continue;
        for (const above of wrong) defer(this.dropIfWrong(above, digest));
        throw error;
      }
      if (bytes === undefined) {
        lacking.push(store);
        continue;
      }
      if (await matchesDigest(bytes, digest)) {
        onHit?.(store.name, bytes.byteLength);
        for (const above of lacking) {
          if (bytes.byteLength <= (above.maxBlobBytes ?? Infinity)) {
            defer(this.#fill(above, digest, bytes, false));
          }
        }
        for (const above of wrong) defer(this.#fill(above, digest, bytes, true));
        return bytes;
      }
      const error = new EdgewiseError('digest_mismatch', `${store.name} holds wrong bytes for ${digest}`);
      onFault?.({ tier: store.name, operation: 'get', digest, error });
      wrong.push(store);
    }
    if (wrong.length === 0) return undefined;
    for (const store of wrong) defer(this.dropIfWrong(store, digest));
    throw new EdgewiseError('digest_mismatch', `no tier holds the right bytes for ${digest}`);
  }

  /** Deletes the copy. @returns false if that failed. */
  drop(store: BlobStore, digest: Digest): Promise<boolean> {
    return this.#attempt(store, 'delete', digest, () => store.delete(digest));
  }

  /**
   * Lets the store read its copy again and delete it if it is wrong: the copy may have been replaced since, or damaged only in
   * transit.
   *
   * @returns false if that failed.
   */
  dropIfWrong(store: BlobStore, digest: Digest): Promise<boolean> {
    return this.#attempt(store, 'delete', digest, () => store.discardWrong(digest));
  }

  /** Puts right bytes into a tier that lacks them. If that fails, at least deletes a wrong copy. */
  async #fill(store: BlobStore, digest: Digest, bytes: Bytes, isWrong: boolean) {
    const isFilled = await this.#attempt(store, 'put', digest, () => store.put(digest, bytes));
    if (!isFilled && isWrong) await this.dropIfWrong(store, digest);
  }

  /** Runs an operation whose failure is reported, not thrown. @returns false if it failed. */
  async #attempt(
    store: BlobStore,
    operation: TierFault['operation'],
    digest: Digest,
    work: () => Promise<void>,
  ): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      this.#options.onFault?.({ tier: store.name, operation, digest, error });
      return false;
    }
  }
}
