/**
 * Several blob stores as one: fastest first, the last one durable. Every read is checked against its digest, whichever
 * tier it comes from; a wrong copy is replaced or dropped and the next tier asked. A fast tier can be wrong, full or
 * down without failing a read. Reads are not shared between callers: a promise made by one request may die with it.
 */
import { EdgewiseError } from '../errors.ts';
import { matchesDigest } from './digest.ts';
import type { BlobStore, Defer, Digest, VerifiedBlobStore } from './types.ts';

export interface TierFault {
  readonly tier: string;
  readonly operation: 'get' | 'put' | 'delete';
  readonly digest: Digest;
  /** `digest_mismatch` for wrong bytes, else what the tier threw. */
  readonly error: unknown;
}

export interface TieredOptions {
  /** Carries filling and repair of tiers past the end of the request. */
  readonly defer: Defer;
  /** Which tier answered a read, and with how many bytes. */
  readonly onHit?: (tier: string, byteLength: number) => void;
  /** A tier failed or held wrong bytes. */
  readonly onFault?: (fault: TierFault) => void;
}

/** One store, checked: what `tiered` does where there is nothing to put above it. */
export function verified(store: BlobStore, options: TieredOptions): VerifiedBlobStore {
  return tiered([store], options);
}

/**
 * `tiers`: fastest first; the last is the durable one, which alone decides `put`, `has` and `byteLength`.
 *
 * `get` throws EdgewiseError `digest_mismatch` when tiers hold the digest but none the right bytes, and what the
 * durable tier threw when it could not be read and no tier above had the blob.
 */
export function tiered(tiers: readonly BlobStore[], options: TieredOptions): VerifiedBlobStore {
  const { defer, onHit, onFault } = options;
  const durable = tiers.at(-1);
  if (durable === undefined)
    throw new EdgewiseError('internal', 'tiered store has no tier, wanted at least one');

  /** Runs an operation whose failure only counts. */
  async function attempt(
    store: BlobStore,
    operation: TierFault['operation'],
    digest: Digest,
    work: () => Promise<void>,
  ): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      onFault?.({ tier: store.name, operation, digest, error });
      return false;
    }
  }

  const drop = (store: BlobStore, digest: Digest) =>
    attempt(store, 'delete', digest, () => store.delete(digest));

  /** Puts good bytes into a tier that lacks them; where that fails, at least takes a wrong copy away. */
  async function fill(store: BlobStore, digest: Digest, bytes: Uint8Array<ArrayBuffer>, wrong: boolean) {
    const done = await attempt(store, 'put', digest, () => store.put(digest, bytes));
    if (!done && wrong) await dropIfWrong(store, digest);
  }

  /** The store looks again: the copy may have been replaced since, or damaged on the way here. */
  const dropIfWrong = (store: BlobStore, digest: Digest) =>
    attempt(store, 'delete', digest, () => store.discardWrong(digest));

  async function get(digest: Digest): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const lacking: BlobStore[] = [];
    const wrong: BlobStore[] = [];
    for (const store of tiers) {
      let bytes: Uint8Array<ArrayBuffer> | undefined;
      try {
        bytes = await store.get(digest);
      } catch (error) {
        onFault?.({ tier: store.name, operation: 'get', digest, error });
        if (store !== durable) continue;
        for (const above of wrong) defer(dropIfWrong(above, digest));
        throw error;
      }
      if (bytes === undefined) {
        lacking.push(store);
        continue;
      }
      if (await matchesDigest(bytes, digest)) {
        onHit?.(store.name, bytes.byteLength);
        for (const above of lacking) {
          if (bytes.byteLength <= (above.maxBlobBytes ?? Infinity)) defer(fill(above, digest, bytes, false));
        }
        for (const above of wrong) defer(fill(above, digest, bytes, true));
        return bytes;
      }
      const error = new EdgewiseError('digest_mismatch', `${store.name} holds wrong bytes for ${digest}`);
      onFault?.({ tier: store.name, operation: 'get', digest, error });
      wrong.push(store);
    }
    if (wrong.length === 0) return undefined;
    for (const store of wrong) defer(dropIfWrong(store, digest));
    throw new EdgewiseError('digest_mismatch', `no tier holds the right bytes for ${digest}`);
  }

  const lengthOf = durable.byteLength?.bind(durable);
  return {
    name: 'tiered',
    verified: true,
    ...(durable.maxBlobBytes === undefined ? {} : { maxBlobBytes: durable.maxBlobBytes }),
    ...(lengthOf === undefined ? {} : { byteLength: lengthOf }),
    get,
    has: (digest) => durable.has(digest),
    put: (digest, bytes) => durable.put(digest, bytes),
    async delete(digest) {
      await durable.delete(digest);
      await Promise.all(tiers.slice(0, -1).map((store) => drop(store, digest)));
    },
    async discardWrong(digest) {
      await Promise.all(tiers.map((store) => dropIfWrong(store, digest)));
    },
  };
}
