/**
 * The two storage promises. Blobs are large, immutable and named by their content; state is small and changed by
 * compare-and-swap. Every driver passes the contract suites in `test/storage/`.
 */

/** `sha256:` and 64 lower-case hex digits. */
export type Digest = `sha256:${string}`;

export interface BlobStore {
  /** Names the tier in headers, metrics and logs: `r2`, `kv`, `cache`, `fs`, `memory`, `tiered`. */
  readonly name: string;
  /** Largest blob that `put` takes; absent where nothing limits it. */
  readonly maxBlobBytes?: number;
  /**
   * The bytes stored under `digest`, or undefined. A driver does not check them; `tiered` and `verified` do.
   * They may be shared with other readers: nobody changes them.
   */
  get(digest: Digest): Promise<Uint8Array<ArrayBuffer> | undefined>;
  has(digest: Digest): Promise<boolean>;
  /** Bytes stored under `digest`, or undefined where nothing is. Absent where the driver could tell only by reading. */
  byteLength?(digest: Digest): Promise<number | undefined>;
  /**
   * Stores `bytes`, over whatever stands there. Durable once the promise resolves; storing the same digest again is
   * harmless. The driver may keep the array itself, so the caller does not change it afterwards.
   *
   * @throws EdgewiseError `too_large` above the driver's limit.
   */
  put(digest: Digest, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Removes the blob; absent is not an error. */
  delete(digest: Digest): Promise<void>;
  /**
   * Removes what is stored under `digest` if it does not have that digest. Right bytes stay, also those that another
   * writer stores meanwhile: on a durable driver always, on one that only keeps copies (KV, cache) but for the time of
   * one round trip, where a lost copy costs a read of the tier below.
   */
  discardWrong(digest: Digest): Promise<void>;
}

/** A store whose `get` gives only bytes that have their digest, and throws `digest_mismatch` where it has wrong ones alone. */
export interface VerifiedBlobStore extends BlobStore {
  readonly verified: true;
}

/** Lets work outlive the request that began it (`waitUntil`). The promise given to it never rejects. */
export type Defer = (work: Promise<unknown>) => void;

export interface StateEntry {
  readonly value: string;
  /**
   * Changes whenever the value changes. Opaque. Writing an equal value may leave it as it is (R2 derives it from the
   * content), so compare-and-swap speaks about values, not about how often they were written.
   */
  readonly etag: string;
}

export interface KeyEtag {
  readonly key: string;
  readonly etag: string;
}

/** `absent`: only when nothing is stored. An etag: only when it is still the current one. */
export type WriteCondition = { readonly ifAbsent: true } | { readonly ifMatch: string };

export interface StateStore {
  readonly name: string;
  get(key: string): Promise<StateEntry | undefined>;
  /** As `get`, but without moving the value where `etag` is still the current one. */
  getIfChanged(key: string, etag: string): Promise<StateEntry | 'unchanged' | undefined>;
  /** The new etag, or undefined when the condition did not hold and nothing was written. */
  put(key: string, value: string, condition: WriteCondition): Promise<string | undefined>;
  /** True when the key held `ifMatch` and is now gone. */
  delete(key: string, condition: { readonly ifMatch: string }): Promise<boolean>;
  /** Keys that start with `prefix`, ascending by UTF-16 code unit. */
  list(prefix: string): Promise<readonly string[]>;
  /** As `list`, with the etag of each key. Absent where the driver could tell only by reading. */
  listEtags?(prefix: string): Promise<readonly KeyEtag[]>;
}
