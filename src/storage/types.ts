/**
 * The two storage contracts. Blobs are large, immutable and named by their content. State is small and changed by
 * compare-and-swap. Every driver passes the contract suites in `test/storage/`.
 */
import type { Bytes } from '../bytes.ts';

/** `sha256:` and 64 lower-case hex digits. */
export type Digest = `sha256:${string}`;

export interface BlobStore {
  /** Names the tier in headers, metrics and logs: `r2`, `kv`, `cache`, `fs`, `memory`, `tiered`. */
  readonly name: string;
  /** Size of the largest blob that `put` accepts; absent if there is no limit. */
  readonly maxBlobBytes?: number;
  /**
   * Returns the bytes stored under `digest`, or undefined. A driver does not check them; `tiered` and `verifyReads` do. The
   * caller must not change them: other readers may share them.
   */
  get(digest: Digest): Promise<Bytes | undefined>;
  has(digest: Digest): Promise<boolean>;
  /** Returns the length of the blob, or undefined if there is none. Absent if the driver would have to read the blob. */
  byteLength?(digest: Digest): Promise<number | undefined>;
  /**
   * Stores `bytes`, replacing stored bytes. Durable once the promise resolves. Storing the same digest again is harmless. The
   * driver may keep the array, so the caller must not change it afterwards.
   *
   * @throws EdgewiseError `too_large` above the driver's limit.
   */
  put(digest: Digest, bytes: Bytes): Promise<void>;
  /** Deletes the blob. It is no error if there is none. */
  delete(digest: Digest): Promise<void>;
  /**
   * Deletes the stored bytes if they do not have that digest. Right bytes stay, also those that another writer stores
   * meanwhile. A driver that only holds copies (KV, cache) may lose such a write within one round trip; the lost copy costs a
   * read of the tier below.
   */
  discardWrong(digest: Digest): Promise<void>;
}

/** A store whose `get` returns only bytes that match their digest, and throws `digest_mismatch` if it has only wrong bytes. */
export interface VerifiedBlobStore extends BlobStore {
  readonly verified: true;
}

/** Lets work outlive the request that began it (`waitUntil`). The promise must not reject. */
export type Defer = (work: Promise<unknown>) => void;

export interface StateEntry {
  readonly value: string;
  /**
   * Opaque. Changes whenever the value changes. Writing an equal value may leave it unchanged (R2 derives it from the content),
   * so compare-and-swap compares values, not the number of writes.
   */
  readonly etag: string;
}

export interface KeyEtag {
  readonly key: string;
  readonly etag: string;
}

/** `ifAbsent`: only if nothing is stored. `ifMatch`: only if this is the current etag. */
export type WriteCondition = { readonly ifAbsent: true } | { readonly ifMatch: string };

export interface StateStore {
  readonly name: string;
  get(key: string): Promise<StateEntry | undefined>;
  /** As `get`, but without transferring the value if `etag` is the current one. */
  getIfChanged(key: string, etag: string): Promise<StateEntry | 'unchanged' | undefined>;
  /** Returns the new etag, or undefined if the condition did not hold and nothing was written. */
  put(key: string, value: string, condition: WriteCondition): Promise<string | undefined>;
  /** Deletes the key if `ifMatch` is its current etag. Returns whether it did. */
  delete(key: string, condition: { readonly ifMatch: string }): Promise<boolean>;
  /** Returns the keys that start with `prefix`, ascending by UTF-16 code unit. */
  list(prefix: string): Promise<readonly string[]>;
  /** As `list`, with the etag of each key. Absent if the driver would have to read the values. */
  listEtags?(prefix: string): Promise<readonly KeyEtag[]>;
}
